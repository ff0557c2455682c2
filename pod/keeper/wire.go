package keeper

import "github.com/podswitch/podswitch/pod/grant"

// wireOpened describes an open port in the form of the protocol. The descriptor travels beside it.
func wireOpened(index int, o *handle) *grant.Opened {
	w := &grant.Opened{Port: index}
	switch {
	case o.device != nil:
		d := o.device
		w.Device = &grant.Device{Name: d.Name, Link: d.Link, Kind: d.Kind, HeaderLen: d.HeaderLen, Offload: d.Offload}
	case o.socket != nil:
		s := o.socket
		w.Socket = &grant.Socket{Type: s.Type, Listening: s.Listening, Connected: s.Connected, Remote: s.Remote}
	}
	return w
}
