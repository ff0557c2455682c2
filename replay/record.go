package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// What became of a frame.
const (
	Sent    = "sent"    // something left because of it: itself, or an answer
	Dropped = "dropped" // counted under a reason, whether somebody was told or not
	Held    = "held"    // it waits for the MAC of its next hop
	Noted   = "noted"   // read by the switch, and for nobody else
	Skipped = "skipped" // not given to the switch; a note says why
)

// A Record is what happened at one packet of the capture, or at a tick of the switch between them.
type Record struct {
	Number  int               `json:"number,omitempty"`  // of the packet; absent: a tick between packets
	Seconds float64           `json:"seconds"`           // since the first packet
	Event   string            `json:"event,omitempty"`   // tick, or who has the address now; absent: a frame
	In      string            `json:"in,omitempty"`      // the port where the frame entered
	Frame   *Description      `json:"frame,omitempty"`   // as it entered
	Outcome string            `json:"outcome,omitempty"` // of the frame: sent, dropped, held, noted or skipped
	Out     []Output          `json:"out,omitempty"`     // what left
	Drops   map[string]uint64 `json:"drops,omitempty"`   // of the frame or its fragments, by reason
	Late    []Late            `json:"late,omitempty"`    // frames that had waited and were dropped now
	Note    string            `json:"note,omitempty"`
}

// An Output is a frame that left.
type Output struct {
	Port    string      `json:"port"`
	Frame   Description `json:"frame"`
	Number  int         `json:"number,omitempty"`        // of the packet that it is; absent: the switch has made it
	Changed int         `json:"changed_bytes,omitempty"` // bytes behind the MACs that differ from that packet's
}

// A Late is the end of a frame that had waited for its next hop.
type Late struct {
	Number int    `json:"number"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"` // 1, or fragments
}

// A Summary counts frames by what became of them in the end.
type Summary struct {
	Frames  int               `json:"frames"`
	Sent    int               `json:"sent"`
	Dropped int               `json:"dropped"` // also those that had waited
	Held    int               `json:"held"`    // those that still wait
	Noted   int               `json:"noted"`
	Skipped int               `json:"skipped"`
	Drops   map[string]uint64 `json:"drops"` // by reason
}

// String writes r as one line.
func (r *Record) String() string {
	number := ""
	if r.Number > 0 {
		number = fmt.Sprint(r.Number)
	}
	var parts []string
	if r.Outcome == Dropped || len(r.Drops) > 0 {
		parts = append(parts, "drop: "+strings.Join(slices.Sorted(maps.Keys(r.Drops)), ", "))
	} else if r.Outcome == Held {
		parts = append(parts, "held: waits for its next hop")
	} else if r.Outcome == Noted || r.Outcome == Skipped {
		parts = append(parts, r.Outcome)
	}
	for i := range r.Out {
		parts = append(parts, r.Out[i].text(r))
	}
	for _, l := range r.Late {
		parts = append(parts, fmt.Sprintf("drop of frame %d: %s", l.Number, l.Reason))
	}
	if r.Note != "" {
		parts = append(parts, r.Note)
	}
	what := r.Event
	if r.Frame != nil {
		what = fmt.Sprintf("%-6s  %s", r.In, r.Frame.text())
	}
	line := fmt.Sprintf("%5s %11.6f  %s", number, r.Seconds, what)
	if len(parts) > 0 {
		line += "  -> " + strings.Join(parts, "; ")
	}
	return line
}

func (d *Description) text() string {
	text := fmt.Sprintf("%s  %d bytes", d.Text, d.Length)
	if d.Source != (vswitch.MAC{}) || d.Destination != (vswitch.MAC{}) {
		text = fmt.Sprintf("%s > %s  %s", d.Source, d.Destination, text)
	}
	if d.Offload != "" {
		text += " (" + d.Offload + ")"
	}
	return text
}

// text says only what is not said of the frame that entered.
func (o *Output) text(r *Record) string {
	if o.Number == 0 {
		return o.Port + ": " + o.Frame.text()
	}
	if o.Number != r.Number {
		return fmt.Sprintf("%s: frame %d as %s > %s", o.Port, o.Number, o.Frame.Source, o.Frame.Destination)
	}
	text := o.Port
	if o.Frame.Source != r.Frame.Source || o.Frame.Destination != r.Frame.Destination {
		text += fmt.Sprintf(" as %s > %s", o.Frame.Source, o.Frame.Destination)
	}
	if o.Changed > 0 {
		text += fmt.Sprintf(", %d bytes changed", o.Changed)
	}
	return text
}

// String writes s as two lines.
func (s *Summary) String() string {
	text := fmt.Sprintf("%d frames: %d sent, %d dropped, %d held, %d noted, %d skipped", s.Frames, s.Sent, s.Dropped, s.Held, s.Noted, s.Skipped)
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(s.Drops)) {
		reasons = append(reasons, fmt.Sprintf("%s=%d", reason, s.Drops[reason]))
	}
	if len(reasons) == 0 {
		reasons = []string{"none"}
	}
	return text + "\ndrops: " + strings.Join(reasons, " ")
}
