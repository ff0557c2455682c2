package replay

import (
	"fmt"
	"strings"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Comments with information for podswitch begin with one of these words:
//
//	podswitch-offload flags 1 gso 1 headers 54 size 1448 start 34 offset 16
//	podswitch-tick
//	podswitch-hand guest 02:00:00:00:00:01
//
// The first is the offload header of the packet's frame; without such a comment it is the zero header. The others are events, in empty
// packets.
const (
	offloadComment = "podswitch-offload"
	tickComment    = "podswitch-tick"
	handComment    = "podswitch-hand"
	offloadFormat  = offloadComment + " flags %d gso %d headers %d size %d start %d offset %d"
)

// parseComment sets the fields of p that a comment describes. It ignores comments without one of the words.
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
		return fmt.Errorf("comment %q: %w: want, for example, %q", text, err, offloadText(vnet.Header{}))
	}
	return nil
}

func offloadText(h vnet.Header) string {
	return fmt.Sprintf(offloadFormat, h.Flags, h.GSOType, h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset)
}

// comments returns the comments for Write, which parseComment reads.
func (p *Packet) comments() []string {
	switch {
	case p.Event != nil:
		return []string{p.Event.comment()}
	case p.Frame.Offload != vnet.Header{}:
		return []string{offloadText(p.Frame.Offload)}
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

// ParseHolder returns the holder with the given name: kernel, switch or guest.
func ParseHolder(text string) (vswitch.Holder, error) {
	for _, h := range []vswitch.Holder{vswitch.HolderKernel, vswitch.HolderSwitch, vswitch.HolderGuest} {
		if h.String() == text {
			return h, nil
		}
	}
	return 0, fmt.Errorf("holder %q: want kernel, switch or guest", text)
}
