// Package replay sends captured frames through a forwarder, without devices, and says what became of each of them.
//
// It reads pcapng and plain pcap, and writes pcapng that also has what such files cannot say themselves: the configuration of
// the switch (a comment of the section), the virtio-net header of a frame (a comment of the packet), and what happened to the
// switch between frames (comments of empty packets at an interface of their own). Wireshark shows all of it as comments.
//
// The package has no file descriptors, no clock and no netstack: what would reach the two endpoints is shown, and what
// they would answer is not made; a capture may have it.
package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/podswitch/podswitch/vswitch"
)

// A Packet is one entry of a capture: a frame, or an event.
type Packet struct {
	Number int       // in the capture, from 1, as Wireshark counts; Write does not look at it
	Time   time.Time // when the frame was captured
	Port   string    // name of the capture's interface; empty: the capture does not say
	Frame  vswitch.Frame
	Length int    // of the frame in bytes when it was captured; more than len(Frame.Data): cut off. Write does not look at it
	Event  *Event // not nil: something other than a frame
}

// An Event is what happens to a switch beside frames.
type Event struct {
	Tick   bool           // the forwarder's Tick; otherwise the address changes hands:
	Holder vswitch.Holder // who has it from now on
	MAC    vswitch.MAC    // where the guest's frames go from now on; the zero MAC: as before
}

// Bounds of what is believed of a capture.
const (
	blockLimit     = 16 << 20 // bytes from one packet to the next one, with all that stands between them
	interfaceLimit = 256      // interfaces of a section
)

// magicPcapng and the magics of plain pcap say what a file is (draft-ietf-opsawg-pcapng, section 4.1; draft-ietf-opsawg-pcap,
// section 4). Read in little-endian order.
const (
	magicPcapng       = 0x0a0d0d0a
	magicMicros       = 0xa1b2c3d4
	magicMicrosSwap   = 0xd4c3b2a1
	magicNanos        = 0xa1b23c4d
	magicNanosSwap    = 0x4d3cb2a1
	magicGzip         = 0x8b1f // of the first two bytes
	linkTypeField     = 20     // where the link type stands in the header of plain pcap
	pcapHeader        = 24
	linkTypeEthernet  = uint32(layers.LinkTypeEthernet)
	linkTypeValueMask = 0x0fffffff // the higher bits say whether frames have a check sequence
)

// A Reader reads the packets of a capture in order.
type Reader struct {
	in     *allowance
	ng     *pcapgo.NgReader // one of the two
	plain  *pcapgo.Reader
	number int
	setup  *Setup
}

// NewReader reads what stands before the first packet. The error says what is wrong with the file.
func NewReader(r io.Reader) (_ *Reader, err error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	c := &Reader{in: &allowance{buffered, blockLimit}}
	defer recovered(&err)
	switch {
	case len(magic) < 4:
		return nil, fmt.Errorf("it has %d bytes: want a capture, pcapng or pcap", len(magic))
	case binary.LittleEndian.Uint32(magic) == magicPcapng:
		if c.ng, err = pcapgo.NewNgReader(c.in, pcapgo.NgReaderOptions{WantMixedLinkType: true}); err == nil {
			c.setup, err = parseSetup(c.ng.SectionInfo().Comment)
		}
	case isPlain(binary.LittleEndian.Uint32(magic)):
		if err = checkPlain(buffered); err == nil {
			c.plain, err = pcapgo.NewReader(c.in)
		}
	case binary.LittleEndian.Uint16(magic) == magicGzip:
		return nil, errors.New("it is compressed: want a capture, pcapng or pcap; gunzip it first")
	default:
		return nil, fmt.Errorf("it begins with %x: want a capture, pcapng or pcap", magic)
	}
	if err != nil {
		return nil, fmt.Errorf("before the first frame: %w", why(err))
	}
	return c, nil
}

// Setup returns the configuration that Write has put into the file, or nil.
func (c *Reader) Setup() *Setup { return c.setup }

// Next returns the next packet, whose memory is the caller's, and io.EOF at the end of the file. After another error, which
// says behind which frame the file is wrong, there is no next one.
func (c *Reader) Next() (p Packet, err error) {
	defer func() {
		if err != nil && err != io.EOF {
			err = fmt.Errorf("behind frame %d: %w", c.number, why(err))
		}
	}()
	defer recovered(&err)
	c.in.left = blockLimit
	if c.plain != nil {
		return c.nextPlain()
	}
	return c.nextNg()
}

func (c *Reader) nextPlain() (Packet, error) {
	data, info, err := c.plain.ReadPacketData()
	if err != nil {
		if err == io.EOF && info.CaptureLength > 0 {
			err = io.ErrUnexpectedEOF // its header is there
		}
		return Packet{}, err
	}
	return c.packet(data, info), nil
}

func (c *Reader) nextNg() (Packet, error) {
	data, info, options, err := c.ng.ReadPacketDataWithOptions()
	if err != nil {
		return Packet{}, err
	}
	if n := c.ng.NInterfaces(); n > interfaceLimit {
		return Packet{}, fmt.Errorf("it has %d interfaces: want at most %d", n, interfaceLimit)
	}
	device, err := c.ng.Interface(info.InterfaceIndex)
	if err != nil {
		return Packet{}, err
	}
	if err := checkLinkType(uint32(device.LinkType)); err != nil {
		return Packet{}, fmt.Errorf("interface %q: %w", device.Name, err)
	}
	p := c.packet(data, info)
	p.Port = device.Name
	for _, comment := range options.Comments {
		if err := p.parseComment(comment); err != nil {
			return Packet{}, err
		}
	}
	return p, nil
}

func (c *Reader) packet(data []byte, info gopacket.CaptureInfo) Packet {
	c.number++
	return Packet{Number: c.number, Time: info.Timestamp, Frame: vswitch.Frame{Data: data}, Length: max(info.Length, len(data))}
}

func isPlain(magic uint32) bool {
	return magic == magicMicros || magic == magicMicrosSwap || magic == magicNanos || magic == magicNanosSwap
}

// checkPlain looks at the link type before the library does, which knows only its low byte.
func checkPlain(r *bufio.Reader) error {
	header, err := r.Peek(pcapHeader)
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if magic := binary.LittleEndian.Uint32(header); magic == magicMicrosSwap || magic == magicNanosSwap {
		order = binary.BigEndian
	}
	return checkLinkType(order.Uint32(header[linkTypeField:]) & linkTypeValueMask)
}

func checkLinkType(t uint32) error {
	if t != linkTypeEthernet {
		return fmt.Errorf("link type %d: want Ethernet (1): capture on one device, and not on \"any\"", t)
	}
	return nil
}

// why says in plain words what the libraries mean.
func why(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut off")
	}
	return err
}

// recovered makes an error of a panic in the library that parses the file: the file is wrong, whatever the library thinks of it.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("it cannot be read: %v", r)
	}
}

// An allowance is a reader that ends a read which takes too much of the file at once.
type allowance struct {
	r    io.Reader
	left int
}

func (a *allowance) Read(b []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("a block of more than %d bytes: want frames of at most %d", blockLimit, vswitch.MaxFrame)
	}
	n, err := a.r.Read(b[:min(len(b), a.left)])
	a.left -= n
	return n, err
}
