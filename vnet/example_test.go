package vnet_test

import (
	"encoding/binary"
	"fmt"

	"github.com/podswitch/podswitch/vnet"
)

// tcpFrame returns an Ethernet frame with a TCP segment in an IPv4 packet, as a sender leaves it that offloads its work: the checksum
// field contains the sum of the pseudo-header.
func tcpFrame(payload string) []byte {
	headers := "\x02\x00\x00\x00\x00\x02" + "\x02\x00\x00\x00\x00\x01" + "\x08\x00" + // Ethernet
		"\x45\x00\x00\x00\x12\x34\x40\x00\x40\x06\x00\x00" + "\x0a\x00\x00\x01" + "\x0a\x00\x00\x02" + // IPv4
		"\x03\xe8\x00\x50" + "\x00\x00\x00\x64" + "\x00\x00\x00\x00" + "\x50\x18\x01\x00\x00\x00\x00\x00" // TCP
	frame := []byte(headers + payload)
	ip, tcp := frame[14:34], frame[34:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(frame)-14))
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip, 0))
	binary.BigEndian.PutUint16(tcp[16:], vnet.Sum(nil, vnet.PseudoSum(ip[12:16], ip[16:20], 6, len(tcp))))
	return frame
}

// A frame with 20 bytes of payload is cut into segments of at most 8.
func ExampleCut() {
	frame := tcpFrame("twenty bytes of data")
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOTCPv4, GSOSize: 8, CsumStart: 34, CsumOffset: 16}
	if !vnet.Check(&h, frame) {
		fmt.Println("the header does not fit the frame")
		return
	}
	fmt.Println("headers:", h.HdrLen, "largest segment:", vnet.WireLen(h, frame))
	segment := make([]byte, vnet.WireLen(h, frame))
	for segments := vnet.Cut(h, frame); !segments.Done(); {
		n := segments.Next(segment)
		sequence := binary.BigEndian.Uint32(segment[38:])
		fmt.Printf("%d bytes, sequence number %d: %q\n", n, sequence, segment[54:n])
	}
	// Output:
	// headers: 54 largest segment: 62
	// 62 bytes, sequence number 100: "twenty b"
	// 62 bytes, sequence number 108: "ytes of "
	// 58 bytes, sequence number 116: "data"
}

// The checksum of a frame is completed in place.
func ExampleComplete() {
	frame := tcpFrame("hello")
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 34, CsumOffset: 16}
	if !vnet.Check(&h, frame) {
		fmt.Println("the header does not fit the frame")
		return
	}
	h = vnet.Complete(h, frame)
	tcp := frame[34:]
	sum := vnet.PseudoSum(frame[26:30], frame[30:34], 6, len(tcp))
	fmt.Printf("header %+v, checksum verifies: %v\n", h, vnet.Checksum(tcp, sum) == 0)
	// Output:
	// header {Flags:0 GSOType:0 HdrLen:0 GSOSize:0 CsumStart:0 CsumOffset:0}, checksum verifies: true
}
