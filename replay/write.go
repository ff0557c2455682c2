package replay

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// eventPort is the interface of the packets that are no frames.
const eventPort = "event"

// At is the time stamp, in a capture that Write makes, of an instant on the switch's clock.
func At(clock time.Duration) time.Time { return time.Unix(0, int64(clock)).UTC() }

// Write writes a capture, pcapng, that NewReader reads back as it is: the configuration, and each packet with its port, its
// time, its offload header and its bytes. The times are those of the switch's clock, as At makes them; they are not before
// 1970. The ports are those of setup.Ports. A player of this capture ticks where the packets have the event, and not by itself.
//
// An error is the writer's, or names the packet that cannot be written.
func Write(w io.Writer, setup Setup, packets []Packet) error {
	text, err := setup.comment()
	if err != nil {
		return err
	}
	ports := append(setup.Ports(), eventPort)
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "podswitch", Comment: text}}
	out, err := pcapgo.NewNgWriterInterface(w, device(ports[0]), options)
	if err != nil {
		return err
	}
	for _, port := range ports[1:] {
		if _, err := out.AddInterface(device(port)); err != nil {
			return err
		}
	}
	for i := range packets {
		if err := write(out, ports, &packets[i]); err != nil {
			return fmt.Errorf("packet %d: %w", i+1, err)
		}
	}
	return out.Flush()
}

func write(out *pcapgo.NgWriter, ports []string, p *Packet) error {
	name := p.Port
	if p.Event != nil {
		name = eventPort
	}
	i := slices.Index(ports, name)
	if i < 0 {
		return fmt.Errorf("port %q: want one of %q", name, ports)
	}
	if p.Time.Before(At(0)) || p.Time.After(At(math.MaxInt64)) {
		return fmt.Errorf("time %v: want one that At makes of the switch's clock", p.Time)
	}
	if len(p.Frame.Data) > blockLimit/2 {
		return fmt.Errorf("a frame of %d bytes: want at most %d", len(p.Frame.Data), blockLimit/2)
	}
	n := len(p.Frame.Data)
	info := gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: n, Length: n, InterfaceIndex: i}
	return out.WritePacketWithOptions(info, p.Frame.Data, pcapgo.NgPacketOptions{Comments: p.comments()})
}

func device(name string) pcapgo.NgInterface {
	return pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet}
}
