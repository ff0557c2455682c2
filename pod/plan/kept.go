package plan

import (
	"fmt"
	"strings"
)

// The range from which Linux chooses the source port of a connection (net.ipv4.ip_local_port_range, Documentation/networking/ip-sysctl.rst).
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// keptWarnings are about kept ports.
func keptWarnings(ports []KeptPort) (list []string) {
	var plain, ephemeral []string
	for _, k := range ports {
		if !k.Proxy {
			plain = append(plain, fmt.Sprintf("tcp/%d", k.Port))
		}
		if k.Port >= firstEphemeral && k.Port <= lastEphemeral {
			ephemeral = append(ephemeral, fmt.Sprintf("tcp/%d", k.Port))
		}
	}
	if len(plain) > 0 {
		list = append(list, fmt.Sprintf("the targets of kept %s see 127.0.0.1 as the address of every client: what trusts the loopback is open to the cluster "+
			"(keep only ports of processes that do not decide by the client's address, or add \",proxy\" for a target that reads the PROXY protocol)",
			strings.Join(plain, ", ")))
	}
	if len(ephemeral) > 0 {
		list = append(list, fmt.Sprintf("kept %s may collide with the guest's own connections, whose source ports Linux chooses from %d to %d: such a connection fails "+
			"(keep a lower port, as in tcp/8080=127.0.0.1:PORT, or reserve it in the guest with net.ipv4.ip_local_reserved_ports)",
			strings.Join(ephemeral, ", "), firstEphemeral, lastEphemeral))
	}
	return list
}
