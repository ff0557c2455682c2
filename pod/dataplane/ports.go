package dataplane

import (
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/vswitch"
)

// A namedPort is a port with its name and kind in status.
type namedPort struct {
	vswitch.Port
	name, kind string
	link       *link // nil: the port has no device
}

func statusOf(ports []namedPort) []control.Port {
	list := make([]control.Port, len(ports))
	for i, p := range ports {
		list[i] = control.NewPort(p.name, p.kind, p.link.state(), p.Counters())
	}
	return list
}

func unnamed(ports []namedPort) []vswitch.Port {
	list := make([]vswitch.Port, len(ports))
	for i, p := range ports {
		list[i] = p.Port
	}
	return list
}

func closePorts(ports []namedPort) {
	for _, p := range ports {
		p.Close()
	}
}
