package stack

import "gvisor.dev/gvisor/pkg/tcpip"

// Netstack retains the reader of a Write until the next one (tcp.Endpoint.limRdr), and with it the caller's buffer for the lifetime of
// the connection, including TIME-WAIT. A detachingSocket therefore passes a reader that loses its buffer when the write is done.

// A detachingSocket retains no buffer that is written to it.
type detachingSocket struct{ tcpip.Endpoint }

// Write implements tcpip.Endpoint.
func (b detachingSocket) Write(p tcpip.Payloader, opts tcpip.WriteOptions) (int64, tcpip.Error) {
	l := &detachablePayload{p}
	defer func() { l.Payloader = nil }()
	return b.Endpoint.Write(l, opts)
}

// A detachablePayload is a Payloader for one write.
type detachablePayload struct{ tcpip.Payloader }
