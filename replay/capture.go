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

// A Packet is one packet of a capture: a frame, or an event. Write ignores Number and Length.
type Packet struct {
	Number int       // position in the capture, from 1, as Wireshark shows it
	Time   time.Time // when the frame was captured
	Port   string    // name of the capture's interface; empty if the file has none
	Frame  vswitch.Frame
	Length int    // of the captured frame in bytes; more than len(Frame.Data) if the capture truncates frames
	Event  *Event // if not nil, the packet is an event and has no frame
}

// An Event is something other than a frame that changes the state of a switch: a tick, or a new holder of the pod address.
type Event struct {
	Tick   bool           // a call of Forwarder.Tick; the other fields have no meaning
	Holder vswitch.Holder // the new holder
	MAC    vswitch.MAC    // the new destination of frames to the guest; the zero MAC: unchanged
}

// Limits for files from untrusted sources.
const (
	blockLimit     = 16 << 20 // bytes that the file may need for one packet, including the blocks in front of it
	interfaceLimit = 256      // interfaces of a section
)

// Magic numbers in little-endian order (draft-ietf-opsawg-pcapng, section 4.1; draft-ietf-opsawg-pcap, section 4), and fields of the
// pcap header.
const (
	magicPcapng       = 0x0a0d0d0a
	magicMicros       = 0xa1b2c3d4
	magicMicrosSwap   = 0xd4c3b2a1
	magicNanos        = 0xa1b23c4d
	magicNanosSwap    = 0x4d3cb2a1
	magicGzip         = 0x8b1f // two bytes
	linkTypeField     = 20     // offset of the link type
	pcapHeader        = 24
	linkTypeEthernet  = uint32(layers.LinkTypeEthernet)
	linkTypeValueMask = 0x0fffffff // the other bits describe the frame check sequence
)

// A Reader reads the packets of a capture in order. It must not be used concurrently. Use NewReader to make one.
type Reader struct {
	in     *blockReader
	ng     *pcapgo.NgReader // for pcapng, otherwise nil
	plain  *pcapgo.Reader   // for pcap, otherwise nil
	number int
	setup  *Setup
}

// NewReader returns a reader of the capture in r, after it has read everything in front of the first packet. It returns an error if
// that is not the beginning of a pcapng or pcap file with Ethernet frames.
func NewReader(r io.Reader) (_ *Reader, err error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	c := &Reader{in: &blockReader{buffered, blockLimit}}
	defer recovered(&err)
	switch {
	case len(magic) < 4:
		return nil, fmt.Errorf("a file of %d bytes: want a pcapng or pcap file", len(magic))
	case binary.LittleEndian.Uint32(magic) == magicPcapng:
		if c.ng, err = pcapgo.NewNgReader(c.in, pcapgo.NgReaderOptions{WantMixedLinkType: true}); err == nil {
			c.setup, err = parseSetup(c.ng.SectionInfo().Comment)
		}
	case isPlain(binary.LittleEndian.Uint32(magic)):
		if err = checkPlain(buffered); err == nil {
			c.plain, err = pcapgo.NewReader(c.in)
		}
	case binary.LittleEndian.Uint16(magic) == magicGzip:
		return nil, errors.New("a gzip file: want a pcapng or pcap file (decompress it with gunzip)")
	default:
		return nil, fmt.Errorf("a file that begins with %x: want a pcapng or pcap file", magic)
	}
	if err != nil {
		return nil, fmt.Errorf("before the first frame: %w", fileError(err))
	}
	return c, nil
}

// Setup returns the configuration that Write has stored in the file, or nil if there is none.
func (c *Reader) Setup() *Setup { return c.setup }

// Next returns the next packet, whose memory is the caller's. At the end of the file it returns io.EOF. Any other error names the last
// frame in front of the fault; do not call Next again.
func (c *Reader) Next() (p Packet, err error) {
	defer func() {
		if err != nil && err != io.EOF {
			err = fmt.Errorf("after frame %d: %w", c.number, fileError(err))
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
			err = io.ErrUnexpectedEOF // the packet has a header and no data
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
		return Packet{}, fmt.Errorf("%d interfaces: want at most %d", n, interfaceLimit)
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

// checkPlain checks the link type of a pcap file. The library reads only its low byte.
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
		return fmt.Errorf("link type %d: want Ethernet, 1 (capture on one device instead of \"any\")", t)
	}
	return nil
}

// fileError replaces an unexpected end of the file by an error for users.
func fileError(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is truncated")
	}
	return err
}

// recovered turns a panic of the library that parses the file into an error. Call it with defer.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("malformed file: %v", r)
	}
}

// A blockReader fails if the library needs more than blockLimit bytes for one packet.
type blockReader struct {
	r    io.Reader
	left int
}

func (b *blockReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a block of more than %d bytes: want frames of at most %d", blockLimit, vswitch.MaxFrame)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
