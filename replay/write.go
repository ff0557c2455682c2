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

// eventPort is the name of the interface of events.
const eventPort = "event"

// At returns the time stamp that Write and Options.Exact use for a time on the switch's clock.
func At(clock time.Duration) time.Time { return time.Unix(0, int64(clock)).UTC() }

// Write writes a pcapng file from which a Reader returns the same setup and the same packets: port, time, offload header and data. Use At
// for the times of the packets, and the names of setup.Ports for their ports. Play the file with Options.Exact: it has ticks where
// the packets have tick events, and no others.
//
// Write returns an error of w, an error of setup.Check, or an error that names the first packet that is not valid.
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
		return fmt.Errorf("time %v: want one from At", p.Time)
	}
	if len(p.Frame.Data) > blockLimit/2 {
		return fmt.Errorf("frame of %d bytes: want at most %d", len(p.Frame.Data), blockLimit/2)
	}
	n := len(p.Frame.Data)
	info := gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: n, Length: n, InterfaceIndex: i}
	return out.WritePacketWithOptions(info, p.Frame.Data, pcapgo.NgPacketOptions{Comments: p.comments()})
}

func device(name string) pcapgo.NgInterface {
	return pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet}
}
