package vswitch_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// words reads one line of a script from left to right. After the first error, all methods return zero values, so that callers check err once,
// at the end.
type words struct {
	left  []string
	names map[string]vswitch.MAC
	err   error
}

func newWords(line string, names map[string]vswitch.MAC) *words {
	return &words{left: strings.Fields(line), names: names}
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// peek returns the next word, or "" at the end and after an error.
func (w *words) peek() string {
	if w.err != nil || len(w.left) == 0 {
		return ""
	}
	return w.left[0]
}

func (w *words) next(what string) string {
	word := w.peek()
	if word == "" {
		w.fail("%s is missing at the end of the line", what)
		return ""
	}
	w.left = w.left[1:]
	return word
}

// accept reads the next word if it equals the argument, and reports whether it does.
func (w *words) accept(word string) bool {
	if w.peek() != word {
		return false
	}
	w.left = w.left[1:]
	return true
}

func (w *words) expect(word string) {
	if got := w.next(word); got != word && w.err == nil {
		w.fail("%q, want %q", got, word)
	}
}

// end returns an error if words are left.
func (w *words) end() error {
	if word := w.peek(); word != "" {
		w.fail("unknown word %q", word)
	}
	return w.err
}

// number reads a decimal or 0x number from 0 to limit.
func (w *words) number(what string, limit int) int {
	word := w.next(what)
	n, err := strconv.ParseUint(word, 0, 32)
	if w.err == nil && (err != nil || n > uint64(limit)) {
		w.fail("%s %q, want a number from 0 to %d", what, word, limit)
		return 0
	}
	return int(n)
}

// hex reads an even number of hexadecimal digits; "-" stands for no bytes.
func (w *words) hex(what string) []byte {
	word := w.next(what)
	if word == "-" {
		return nil
	}
	b, err := hex.DecodeString(word)
	if err != nil {
		w.fail("%s %q, want hexadecimal digits or -", what, word)
	}
	return b
}

// mac reads a name, a MAC, or a MAC whose middle zeros are written as "..".
func (w *words) mac() vswitch.MAC {
	word := w.next("a MAC")
	if m, ok := w.names[word]; ok || w.err != nil {
		return m
	}
	full := word
	if front, back, ok := strings.Cut(word, ".."); ok {
		front, back = strings.Trim(front, ":"), strings.Trim(back, ":")
		zeros := 6 - len(strings.Split(front, ":")) - len(strings.Split(back, ":"))
		full = front + ":" + strings.Repeat("00:", max(zeros, 0)) + back
	}
	m, err := vswitch.ParseMAC(full)
	if err != nil {
		w.fail("%q is no MAC, and no name of one", word)
	}
	return m
}

func (w *words) ip() netip.Addr {
	word := w.next("an IP address")
	a, err := netip.ParseAddr(word)
	if w.err == nil && (err != nil || !a.Is4()) {
		w.fail("%q is no IPv4 address", word)
	}
	if !a.Is4() {
		return netip.IPv4Unspecified()
	}
	return a
}

func (w *words) prefix() netip.Prefix {
	word := w.next("a prefix")
	p, err := netip.ParsePrefix(word)
	if err != nil {
		w.fail("%q is no prefix, as in 10.244.1.0/24", word)
	}
	return p
}
