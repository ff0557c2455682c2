package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// Values of Record.Outcome.
const (
	Sent    = "sent"    // the frame was sent, or answered
	Dropped = "dropped" // the frame was dropped; an ICMP error may have been sent
	Held    = "held"    // the frame waits for the MAC of its next hop
	Noted   = "noted"   // the switch has updated its tables from the frame, and nothing was sent
	Skipped = "skipped" // the frame did not enter the switch; Note has the cause
)

// A Record is the result of one packet, or of a tick between packets. Its JSON is the output of "podswitch replay -o json".
type Record struct {
	Number  int               `json:"number,omitempty"`  // of the packet; 0 for a tick between packets
	Seconds float64           `json:"seconds"`           // since the first packet
	Event   string            `json:"event,omitempty"`   // "tick", or "hand" with the holder and its MAC; empty for a frame
	In      string            `json:"in,omitempty"`      // ingress port; "-" if the frame was skipped
	Frame   *Description      `json:"frame,omitempty"`   // the frame as it entered
	Outcome string            `json:"outcome,omitempty"` // for a frame: Sent, Dropped, Held, Noted or Skipped
	Out     []Output          `json:"out,omitempty"`     // frames that were sent
	Drops   map[string]uint64 `json:"drops,omitempty"`   // drops of the frame or its fragments, by the name of the reason
	Late    []Late            `json:"late,omitempty"`    // drops of earlier frames that were held
	Note    string            `json:"note,omitempty"`    // a remark for people
}

// An Output is a frame that was sent.
type Output struct {
	Port    string      `json:"port"`
	Frame   Description `json:"frame"`
	Number  int         `json:"number,omitempty"`        // of the packet that was forwarded; 0 if the switch made the frame
	Changed int         `json:"changed_bytes,omitempty"` // bytes behind the MACs that differ from the packet
}

// A Late is the drop of a frame that was held.
type Late struct {
	Number int    `json:"number"` // of its packet
	Reason string `json:"reason"`
	Count  uint64 `json:"count"` // 1, or the number of fragments
}

// A Summary counts frames by their final outcome.
type Summary struct {
	Frames  int               `json:"frames"`
	Sent    int               `json:"sent"`
	Dropped int               `json:"dropped"` // including frames that were held first
	Held    int               `json:"held"`    // frames that still wait
	Noted   int               `json:"noted"`
	Skipped int               `json:"skipped"`
	Drops   map[string]uint64 `json:"drops"` // by the name of the reason
}

// String returns r as one line.
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

// text returns what distinguishes the output from the frame of its record.
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

// String returns s as two lines.
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
