// Package unixport turns unix sockets into switch ports, for hypervisors that have no tap: a stream socket with QEMU's
// framing, and datagram sockets with one frame each.
//
// Neither kind carries offloads: the header of a received frame is empty, and a frame to transmit must have its checksum
// complete and its segments cut before. Waiting is package descriptor's.
package unixport
