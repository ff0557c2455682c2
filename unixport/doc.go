// Package unixport turns unix sockets into switch ports, for hypervisors and programs without a tap: a stream socket with QEMU's framing,
// or a datagram or seqpacket socket with one frame in each message.
//
//	socket, file, err := unixport.Listen("/run/vm/net.sock", -1)
//	if err != nil {
//		return err
//	}
//	defer file.Close() // removes the socket's file
//	port, err := socket.Port(new(vswitch.Counters), unixport.Options{})
//	if err != nil {
//		return err
//	}
//	defer port.Close() // port owns the descriptor
//
// The ports have no offloads: the header of a received frame is empty, and a frame to transmit must have a complete checksum and no
// segmentation left to do. Wrap a port in tap.WithSoftwareOffloads if the switch has ports with offloads.
//
// Listen, Bind and Inherit need access to the file system, and return a Socket; its Port needs no privilege and opens no file. So one
// process may open a Socket and another one may use it. And one process may replace another while the hypervisor stays connected and
// sees every frame once:
//
//	old port                     Interrupt ─▶ Receive ends ─▶ the last Transmit ─▶ StateOf ─▶ Close
//	                                                                                  │ state, descriptors
//	new port of the same socket                                                       └────▶ Socket.Resume ─▶ Receive, Transmit
package unixport
