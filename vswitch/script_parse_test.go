package vswitch_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// A script is one file of testdata/switch or testdata/delegate.
type script struct {
	isBridge  bool
	bridge    vswitch.BridgeConfig
	delegate  vswitch.DelegateConfig
	later     *vswitch.DelegateConfig // after the steps so far; nil: as at the beginning
	heard     []vswitch.Neighbour     // resolved before the script begins
	holder    vswitch.Holder
	holderMAC vswitch.MAC
	routed    bool // the script names its own routes
	ports     []string
	names     map[string]vswitch.MAC
	steps     []step
}

// A step is one action with its expected outcome.
type step struct {
	line     int
	text     string
	at       time.Duration
	verb     string // <, tick, hand, expect, now, static, forget, stations, last-use
	port     int
	frame    vswitch.Frame
	times    int
	mac      vswitch.MAC
	holder   vswitch.Holder
	takes    bool // hand: the guest becomes the holder by use
	lastUse  time.Duration
	argument string
	refused  bool
	uplink   vswitch.DelegateConfig
	want     []event
}

// parseScript returns an error with file and line for an unknown word.
func parseScript(name, text string) (*script, error) {
	s := &script{names: map[string]vswitch.MAC{"broadcast": vswitch.Broadcast}}
	now := time.Duration(0)
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		w := newWords(line, s.names)
		if strings.HasPrefix(line, "+") {
			now += w.duration()
			s.timed(w, now, i+1, line)
		} else {
			s.configure(w)
		}
		if err := w.end(); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	if !strings.HasPrefix(text, "# ") {
		return nil, fmt.Errorf("%s:1: the first line must be a comment that states what the script shows", name)
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("%s: no steps", name)
	}
	return s, nil
}

// duration reads +0, +1s, +1.5s or +100ms.
func (w *words) duration() time.Duration {
	word := strings.TrimPrefix(w.next("a time"), "+")
	if word == "0" {
		return 0
	}
	d, err := time.ParseDuration(word)
	if err != nil {
		w.fail("time %q, want +0, +1s or the like", word)
	}
	return d
}

func (w *words) count() int {
	if word := w.peek(); len(word) > 1 && word[0] == 'x' {
		w.left[0] = word[1:]
		return w.number("a count", 100000)
	}
	return 1
}

func (s *script) port(w *words) int {
	word := w.next("a port")
	i := slices.Index(s.ports, word)
	if i < 0 && w.err == nil {
		w.fail("unknown port %q, want one of %s", word, strings.Join(s.ports, " "))
		return 0
	}
	return max(i, 0)
}

// timed reads a line that begins with a time: a step, or an outcome of the previous step.
func (s *script) timed(w *words, now time.Duration, line int, text string) {
	if len(s.ports) == 0 {
		w.fail("a step before the line \"bridge\" or \"delegate\"")
		return
	}
	next := step{line: line, text: text, at: now, verb: w.peek(), times: 1}
	switch next.verb {
	case "used":
		w.accept("used")
		s.wants(w, &next, event{used: true}, w.count())
		return
	case "tick":
		w.accept("tick")
	case "hand", "last-use", "expect", "now":
		s.delegateVerb(w, &next)
	case "static", "forget", "stations":
		s.bridgeVerb(w, &next)
	default:
		next.port = s.port(w)
		if w.accept("drop") {
			reason := s.reason(w)
			s.wants(w, &next, event{port: next.port, drop: reason}, w.count())
			return
		}
		if w.accept(">") {
			times := w.count()
			s.wants(w, &next, event{port: next.port, frame: w.frame()}, times)
			return
		}
		next.verb = "<"
		w.expect("<")
		next.times = w.count()
		next.frame = w.frame()
	}
	s.steps = append(s.steps, next)
}

// wants adds an expected event to the previous step, n times.
func (s *script) wants(w *words, line *step, e event, times int) {
	if len(s.steps) == 0 || s.steps[len(s.steps)-1].at != line.at {
		w.fail("nothing happens at this time that could cause this; write the step first, and then its outcome at +0")
		return
	}
	last := &s.steps[len(s.steps)-1]
	for range times {
		last.want = append(last.want, e)
	}
}

// reason reads a drop reason by its name in status.
func (s *script) reason(w *words) string {
	word := w.next("a reason")
	for _, r := range vswitch.Reasons() {
		if r.String() == word {
			return word
		}
	}
	w.fail("unknown reason %q", word)
	return ""
}

func (s *script) delegateVerb(w *words, next *step) {
	verb := w.next("a verb")
	if s.isBridge {
		w.fail("%q is for delegate scripts", verb)
		return
	}
	if verb == "now" {
		s.uplink(w, next)
		return
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		if w.accept(family) {
			next.argument = family
		}
	}
	if verb == "hand" {
		next.takes = w.accept("used")
		if next.takes {
			return
		}
		next.holder = s.readHolder(w)
		if w.peek() != "" {
			next.mac = w.mac()
		}
		return
	}
	if verb == "expect" {
		next.refused = w.accept("none")
		return
	}
	next.mac = w.mac()
	if !w.accept("never") {
		next.lastUse = w.duration()
	}
}

// uplink reads a line of the configuration that SetUplink changes.
func (s *script) uplink(w *words, next *step) {
	word := w.next("a word")
	if !slices.Contains([]string{"wire-mac", "gateway", "mtu", "guest-mtu", "route", "permanent"}, word) {
		w.fail("%q does not change while frames are forwarded, want wire-mac, gateway, mtu, guest-mtu, route or permanent", word)
		return
	}
	first := s.delegate
	if s.later != nil {
		s.delegate = *s.later
	}
	s.routed = true
	s.configureDelegate(w, word)
	next.uplink = s.delegate
	s.later, s.delegate = &next.uplink, first
}

func (s *script) bridgeVerb(w *words, next *step) {
	verb := w.next("a verb")
	if !s.isBridge {
		w.fail("%q is for bridge scripts", verb)
		return
	}
	switch verb {
	case "static":
		next.port, next.mac = s.port(w), w.mac()
		next.refused = w.accept("refused")
	case "forget":
		next.port = s.port(w)
	case "stations":
		next.argument = strings.Join(w.left, " ")
		w.left = nil
	}
}

func (s *script) readHolder(w *words) vswitch.Holder {
	word := w.next("a holder")
	for _, h := range []vswitch.Holder{vswitch.HolderKernel, vswitch.HolderSwitch, vswitch.HolderGuest} {
		if h.String() == word {
			return h
		}
	}
	w.fail("unknown holder %q, want kernel, switch or guest", word)
	return 0
}
