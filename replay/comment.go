package replay

import (
	"fmt"
	"strings"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// The comments of a capture that are ours begin with a word of ours:
//
//	podswitch-offload flags 1 gso 1 headers 54 size 1448 start 34 offset 16
//	podswitch-tick
//	podswitch-hand guest 02:00:00:00:00:01
//
// The first one is the virtio-net header of its frame, as struct virtio_net_hdr has it; a frame without has the zero header.
// The others are events, whose packets are empty.
const (
	offloadComment = "podswitch-offload"
	tickComment    = "podswitch-tick"
	handComment    = "podswitch-hand"
	offloadFormat  = offloadComment + " flags %d gso %d headers %d size %d start %d offset %d"
)

// parseComment takes in a comment of ours; others are left alone.
func (p *Packet) parseComment(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case offloadComment:
		return parseOffload(text, &p.Frame.Offload)
	case tickComment:
		p.Event = &Event{Tick: true}
	case handComment:
		name, mac, _ := strings.Cut(rest, " ")
		e := &Event{}
		var err error
		if e.Holder, err = ParseHolder(name); err == nil {
			err = e.MAC.UnmarshalText([]byte(mac))
		}
		if err != nil {
			return fmt.Errorf("comment %q: %w", text, err)
		}
		p.Event = e
	}
	return nil
}

func parseOffload(text string, h *vnet.Header) error {
	_, err := fmt.Sscanf(text, offloadFormat, &h.Flags, &h.GSOType, &h.HdrLen, &h.GSOSize, &h.CsumStart, &h.CsumOffset)
	if err != nil {
		return fmt.Errorf("comment %q: %w: want the form of %q", text, err, comment(vnet.Header{}))
	}
	return nil
}

func comment(h vnet.Header) string {
	return fmt.Sprintf(offloadFormat, h.Flags, h.GSOType, h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset)
}

// comments are those of the packet.
func (p *Packet) comments() []string {
	switch {
	case p.Event != nil:
		return []string{p.Event.comment()}
	case p.Frame.Offload != vnet.Header{}:
		return []string{comment(p.Frame.Offload)}
	}
	return nil
}

func (e *Event) comment() string {
	if e.Tick {
		return tickComment
	}
	text := handComment + " " + e.Holder.String()
	if !e.MAC.IsZero() {
		text += " " + e.MAC.String()
	}
	return text
}

// ParseHolder reads what Holder.String writes.
func ParseHolder(text string) (vswitch.Holder, error) {
	for _, h := range []vswitch.Holder{vswitch.HolderKernel, vswitch.HolderSwitch, vswitch.HolderGuest} {
		if h.String() == text {
			return h, nil
		}
	}
	return 0, fmt.Errorf("holder %q: want kernel, switch or guest", text)
}
