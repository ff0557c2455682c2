package dataplane

import (
	"slices"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
)

// Needs are what a switch needs in its sandbox.
type Needs struct {
	Datagrams   bool // a port may be a datagram socket, which needs access to the paths that it sends to
	Descriptors int  // the most descriptors that are open at a time
}

// The most descriptors that are open at a time, with room to spare. The kernel's memory behind the connections that a keeper has made is the
// keeper's: a switch that was broken into must not have the kernel kill the keeper by opening more and more.
const (
	someDescriptors    = 256 // of the process, the control socket and its clients, and the session
	portDescriptors    = 8   // of a port
	serviceDescriptors = 512 // of a kept port, or the relay for DNS: 256 connections, two while one is being made (stack/doc.go)
)

func needsOf(g *grant.Grant) Needs {
	n := Needs{Descriptors: someDescriptors + portDescriptors*len(g.Ports)}
	n.Datagrams = slices.ContainsFunc(g.Ports, func(port grant.Port) bool {
		return port.Kind == hypervisor.KindDgram || port.Kind == hypervisor.KindFD
	})
	if d := g.Forwarder.Delegate; d != nil {
		for _, k := range d.Keep {
			n.Descriptors += serviceDescriptors
			if k.Network == "udp" && d.Pod.Address.IsValid() && d.Pod.AddressIPv6.IsValid() { // 256 flows of each address
				n.Descriptors += serviceDescriptors
			}
		}
		if len(d.RelayDNS) > 0 {
			n.Descriptors += serviceDescriptors
		}
	}
	return n
}
