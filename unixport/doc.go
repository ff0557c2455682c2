// Package unixport turns unix sockets into switch ports, for hypervisors that have no tap: a stream socket with QEMU's
// framing, and datagram sockets with one frame each.
//
// Neither kind carries offloads: the header of a received frame is empty, and a frame to transmit must have its checksum
// complete and its segments cut before. Waiting is package descriptor's.
//
// Opening and switching may be two processes' work. Listen, Bind and Inherit need rights and end in a Socket, which travels; its
// Port needs none. And one process may go on where another one stops, while the hypervisor stays connected and sees every frame
// once:
//
//	first port            Interrupt ─▶ Receive ends ─▶ the last Transmit ─▶ RestOf ─▶ Close
//	                                                                          │ Rest
//	next port, same file                                                      └────▶ Socket.Port ─▶ Receive, Transmit
package unixport
