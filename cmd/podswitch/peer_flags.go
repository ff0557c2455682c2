package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/grant"
)

// The flags that say who may be at the other end.
const (
	peerUIDFlag       = "peer-uid"
	peerNamespaceFlag = "peer-pid-namespace"
)

// peerFlags say who may be at the other end of a conversation between keeper and switch.
type peerFlags struct {
	uids      []string
	namespace *choice
}

func (f *peerFlags) add(c *cobra.Command) {
	f.namespace = newChoice("same", "any")
	c.Flags().StringSliceVar(&f.uids, peerUIDFlag, nil, "User that the other process runs as, by number; may be repeated (default: root, and this process's own)")
	c.Flags().Var(f.namespace, peerNamespaceFlag, "same: the other process is one that this one can see; any: it may be in another container")
}

func (f *peerFlags) peers() (grant.Peers, error) {
	p := grant.Peers{Foreign: f.namespace.value == "any"}
	for _, text := range f.uids {
		uid, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return p, usageError{fmt.Errorf("--%s %q: want a number", peerUIDFlag, text)}
		}
		p.UIDs = append(p.UIDs, int(uid))
	}
	return p, nil
}
