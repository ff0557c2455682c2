package grant

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzReceive writes any bytes, with descriptors at any place among them. Receive must return a message that reads back as the
// same message, or an error; leave no descriptor open; and allocate no more than the bytes justify.
func FuzzReceive(f *testing.F) {
	for _, seed := range []struct {
		name     string
		text     []byte
		cut      uint16
		files    uint8
		isSwitch bool
	}{
		{"nothing", nil, 0, 0, false},
		{"hello", wire(`{"hello":{"version":2,"takeover":true,"settings":{"keep":["tcp/80"]}}}`, 0), 3, 0, false},
		{"two messages", append(wire(`{"ready":{"sandbox":"none"}}`, 0), wire(`{"bye":{}}`, 0)...), 40, 0, false},
		{"a snapshot with a connection", wire(`{"yielded":{"snapshot":{"ports":[]},"connections":[0]}}`, 1), 4, 1, false},
		{"a dial with descriptors", wire(`{"dial":{"id":1,"service":"keep","index":0}}`, 2), 0, 2, false},
		{"a grant", wire(`{"grant":{"version":2,"keeper":7,"forwarder":{"delegate":{"pod":{"mac":"02:00:00:00:00:01","address":"10.0.0.1/24"},"keep":[80]}},"ports":[{"name":"a"}]}}`, 1), 8, 1, true},
		{"a grant of a bridge", wire(`{"grant":{"version":2,"keeper":7,"forwarder":{"bridge":{"ports":2}},"ports":null}}`, 1), 8, 1, true},
		{"a device", wire(`{"opened":{"port":0,"device":{"name":"tap0","kind":"tap","header_len":12,"offload":true}}}`, 1), 1, 1, true},
		{"a socket", wire(`{"opened":{"port":1,"socket":{"type":"stream","listening":true}}}`, 1), 1, 1, true},
		{"a snapshot of null", wire(`{"begin":{"snapshot":null,"connections":[1,1],"takeovers":3}}`, 2), 1, 2, true},
		{"too many descriptors", wire(`{"stop":{}}`, maxFiles+1), 1, maxFiles + 1, true},
		{"a length without a body", append(wire("", 0)[:1], 0x7f, 0xff, 0xff, 0, 0, 0, 0, '{'), 0, 0, false},
		{"two messages in one object", wire(`{"bye":{},"stopped":{}}`, 0), 0, 0, false},
		{"another object behind it", wire(`{"bye":{}} {}`, 0), 0, 0, false},
		{"a list", wire(`[]`, 0), 0, 0, false},
		{"an empty object", wire(`{}`, 0), 0, 0, false},
		{"null", wire(`{"bye":null}`, 0), 0, 0, false},
		{"text that is not JSON", wire(`bye`, 0), 0, 0, false},
		{"an end before the value", wire(`{"bye":`, 0), 0, 0, false},
		{"an end within the object", wire(`{"bye":{}`, 0), 0, 0, false},
		{"an unknown field", wire(`{"bye":{"why":1}}`, 0), 0, 0, false},
		{"a message of the keeper", wire(`{"stop":{}}`, 0), 0, 0, false},
		{"a message of a switch", wire(`{"bye":{}}`, 0), 0, 0, true},
		{"a large message of a small kind", wire(`{"fault":{"text":"`+strings.Repeat("a", maxSmall)+`"}}`, 0), 0, 0, false},
		{"descriptors in the body", wire(`{"bye":{}}`, 3), 12, 3, false},
	} {
		f.Add(seed.name, seed.text, seed.cut, seed.files, seed.isSwitch)
	}
	f.Fuzz(fuzzReceive)
}

func fuzzReceive(t *testing.T, _ string, text []byte, at uint16, files uint8, isSwitch bool) {
	ours, theirs := socketPair(t)
	passed := descriptors(t, int(files)%(maxFiles+4))
	c := NewConn(ours)
	c.isSwitch.Store(isSwitch)
	before, cut := countDescriptors(t), min(int(at), len(text))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = theirs.Write(text[:cut])
		if len(text) > cut {
			_, _, _ = theirs.WriteMsgUnix(text[cut:cut+1], unix.UnixRights(passed...), nil)
			_, _ = theirs.Write(text[cut+1:])
		}
		_ = theirs.CloseWrite()
	}()
	allocated := totalAlloc()
	for {
		m, got, err := c.Receive()
		if err != nil {
			if got != nil || errors.Is(err, io.EOF) && err != io.EOF {
				t.Errorf("descriptors %v with the error %v", got, err)
			}
			break
		}
		if err := CloseFiles(got); err != nil {
			t.Error(err)
		}
		again(t, &m, isSwitch)
	}
	if used := totalAlloc() - allocated; used > 4<<20+uint64(200*len(text)) {
		t.Errorf("%d bytes for %d", used, len(text))
	}
	ours.Close() // ends a write that waits for the reader
	<-sent
	if after := countDescriptors(t); after != before-1 {
		t.Errorf("%d descriptors are open, want %d", after, before-1)
	}
}

// again wants that a message has one field, and that it reads back as the same message.
func again(t *testing.T, m *Message, isSwitch bool) {
	t.Helper()
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	from := switchSide
	if isSwitch {
		from = keeperSide
	}
	back, err := parse(text, from)
	if err != nil || back.Name() != m.Name() {
		t.Fatalf("%s: %q, %v", text, back.Name(), err)
	}
	if second, err := json.Marshal(back); err != nil || !bytes.Equal(text, second) {
		t.Errorf("%s\nand then\n%s\n%v", text, second, err)
	}
}

// TestRules: every message has a rule and one sender, except Fault, which both sides send.
func TestRules(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[Message]())
	for _, f := range fields {
		name := wireName(f)
		r, ok := rules[name]
		if both := r.senders == switchSide|keeperSide; !ok || r.senders == 0 || both != (name == "fault") || r.limit == 0 {
			t.Errorf("%q has the rule %+v, %t", name, r, ok)
		}
		if field(new(Message), name).Type() != f.Type {
			t.Errorf("%q is read into another field", name)
		}
	}
	if len(rules) != len(fields) {
		t.Errorf("%d rules for %d messages", len(rules), len(fields))
	}
}

// TestUnknownFields: a field that this build does not know is refused at every depth of a message.
func TestUnknownFields(t *testing.T) {
	for _, text := range []string{
		`{"grant":{"x":1}}`, `{"grant":{"forwarder":{"x":1}}}`, `{"grant":{"forwarder":{"bridge":{"pod":{"x":1}}}}}`,
		`{"grant":{"forwarder":{"delegate":{"offer":{"private_options":[{"x":1}]}}}}}`, `{"grant":{"ports":[{"x":1}]}}`,
		`{"opened":{"device":{"x":1}}}`, `{"opened":{"socket":{"x":1}}}`,
	} {
		if _, err := parse([]byte(text), keeperSide); err == nil || !strings.Contains(err.Error(), `unknown field "x"`) {
			t.Errorf("%s: %v, want an unknown field", text, err)
		}
	}
	if _, err := ParseSettings([]byte(`{"hold_after":"1s","x":1}`)); err == nil || !strings.Contains(err.Error(), `unknown field "x"`) {
		t.Errorf("settings: %v, want an unknown field", err)
	}
}

func totalAlloc() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestKeeperMemory: no message of a switch makes its keeper allocate many times its size.
func TestKeeperMemory(t *testing.T) {
	const size = 128 << 10 // more takes long with the race detector
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, size/len(unit)) + "0" + after
	}
	for _, text := range []string{
		fill(`{"grant":{"ports":[`, "{},", `]}}`),
		fill(`{"grant":{"forwarder":{"delegate":{"routes":[`, "{},", `]}}}}`),
		fill(`{"begin":{"connections":[`, "1,", `]}}`),
		fill(`{"yielded":{"snapshot":[`, "{},", `]}}`),
		fill(`{"yielded":{"snapshot":{},"connections":[`, "1,", `]}}`),
		fill(`{"hello":{"settings":[`, "{},", `]}}`),
		fill(`{"fault":{"text":"`, "x", `"}}`),
		fill(`{"opened":{"device":{"name":"`, "x", `"}}}`),
		fill(`{`, `"bye":{},`, `}`),
	} {
		before := totalAlloc()
		_, err := parse([]byte(text), switchSide)
		used := totalAlloc() - before
		t.Logf("%.40s... %d bytes: %d allocated, %.100v", text, len(text), used, err)
		if limit := uint64(20 * size); used > limit {
			t.Errorf("%.40s...: %d bytes allocated, want at most %d", text, used, limit)
		}
	}
}
