package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/grant"
)

const (
	peerUIDFlag       = "peer-uid"
	peerNamespaceFlag = "peer-pid-namespace"
)

// peerFlags are the flags that restrict which process may be the other end of a session between keeper and switch.
type peerFlags struct {
	command   string // that has the flags
	uids      []string
	namespace *choice
}

func (f *peerFlags) add(c *cobra.Command) {
	f.command, f.namespace = "podswitch "+c.Name(), newChoice("same", "any")
	c.Flags().StringSliceVar(&f.uids, peerUIDFlag, nil, "Numeric `UID` that the other process may have; repeatable (default: 0 and the UID of this process)")
	c.Flags().Var(f.namespace, peerNamespaceFlag, "PID namespace of the other process; same: one that this process can see; any: another container is allowed")
}

func (f *peerFlags) peers() (grant.Peers, error) {
	p := grant.Peers{Foreign: f.namespace.value == "any", Command: f.command}
	for _, text := range f.uids {
		uid, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return p, usageError{fmt.Errorf("--%s %q: want a number", peerUIDFlag, text)}
		}
		p.UIDs = append(p.UIDs, int(uid))
	}
	return p, nil
}
