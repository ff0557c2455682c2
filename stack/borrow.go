package stack

import "gvisor.dev/gvisor/pkg/tcpip"

// A connection's reader of what is to be written is kept by netstack until the next write (tcp.Endpoint.limRdr), and with it the buffer
// of whoever wrote last: for as long as the connection lasts, TIME-WAIT included. So netstack gets a reader that is parted from the
// buffer when the write is done.

// borrower is a socket that keeps nothing of what is written to it but a copy.
type borrower struct{ tcpip.Endpoint }

// Write implements tcpip.Endpoint.
func (b borrower) Write(p tcpip.Payloader, opts tcpip.WriteOptions) (int64, tcpip.Error) {
	l := &loan{p}
	defer func() { l.Payloader = nil }()
	return b.Endpoint.Write(l, opts)
}

// loan is a Payloader for the time of one write.
type loan struct{ tcpip.Payloader }
