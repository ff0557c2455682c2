package dhcpsrv

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// overloaded returns a DISCOVER whose option 52 has the value, with these bytes in the fields "file" and "sname".
func overloaded(value byte, file, sname []byte) []byte {
	m := message(discover, raw(52, value))
	copy(m[fileOffset:cookieOffset], file)
	copy(m[snameOffset:fileOffset], sname)
	return m
}

// TestOverload checks which options of the fields "file" and "sname" are read, and in which order instances are joined.
func TestOverload(t *testing.T) {
	file := []byte{0, 12, 2, 'f', 'i', 55, 2, 3, 1, 57, 2, 3, 0, 255, 12, 1, 'x'}
	sname := []byte{12, 2, 's', 'n', 55, 1, 6, 52, 1, 1, 255}
	full := append([]byte{12, 61}, make([]byte, 62)...) // the field ends with the option
	for _, test := range []struct {
		name    string
		message []byte
		host    string
		wants   []byte
	}{
		{"no overload", patched(fileOffset, file...), "", nil},
		{"file", overloaded(1, file, sname), "fi", []byte{3, 1}},
		{"sname", overloaded(2, file, sname), "sn", []byte{6}},
		{"both", overloaded(3, file, sname), "fisn", []byte{3, 1, 6}},
		{"no end mark", overloaded(2, nil, full), "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, fault := readRequest(test.message)
			if fault != "" || req.hostName != test.host {
				t.Errorf("fault %q, host name %q, want %q", fault, req.hostName, test.host)
			}
			if diff := cmp.Diff(test.wants, req.wants); diff != "" {
				t.Errorf("requested options (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOverloadIsAnswered checks that a REQUEST whose requested address is in an overloaded field gets an ACK.
func TestOverloadIsAnswered(t *testing.T) {
	m := message(requesting, raw(52, 1))
	copy(m[fileOffset:], []byte{50, 4, 10, 244, 1, 7, 255})
	r := Answer(newOffer(t, mustProfile(t, "flannel")), Query{Message: m, Now: testNow})
	if r.Sent != MessageAck || r.Change != Bound {
		t.Errorf("sent %q, change %s, why %q; want an ACK", r.Sent, r.Change, r.Reason)
	}
}
