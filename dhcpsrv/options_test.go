package dhcpsrv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// replyTo returns the decoded reply to a message.
func replyTo(t *testing.T, o *Offer, message []byte) *decoded {
	t.Helper()
	r := Answer(o, Query{Message: message, Now: testNow})
	checkReply(t, o, r)
	if r.Reply == nil {
		t.Fatalf("no reply: %s", r.Reason)
	}
	d, err := decode(r.Reply)
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

func wants(codes ...byte) dhcpv4.Modifier { return raw(55, codes...) }

func size(n uint16) dhcpv4.Modifier { return raw(57, byte(n>>8), byte(n)) }

// TestOptionOrder checks option 55, RFC 2132 sections 3.3 and 9.8.
func TestOptionOrder(t *testing.T) {
	tests := []struct {
		name    string
		message []byte
		want    []uint8
	}{
		{"no list", message(discover), []uint8{53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 119, 121}},
		{"an empty list", message(discover, wants()), []uint8{53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 119, 121}},
		{"in order", message(discover, wants(121, 15, 6, 1, 3)), []uint8{53, 54, 51, 58, 59, 121, 15, 6, 1, 3}},
		{"mask before router", message(discover, wants(6, 3, 1)), []uint8{53, 54, 51, 58, 59, 6, 1, 3}},
		{"mask unasked", message(discover, wants(6)), []uint8{53, 54, 51, 58, 59, 1, 6}},
		{"each once", message(discover, wants(6, 6, 51, 53, 54, 6, 1, 1)), []uint8{53, 54, 51, 58, 59, 6, 1}},
		{"only what there is", message(discover, wants(1, 42, 252, 0, 255, 43)), []uint8{53, 54, 51, 58, 59, 1}},
		{"Microsoft's number alone", message(discover, wants(1, 249)), []uint8{53, 54, 51, 58, 59, 1, 249}},
		{"client identifier", message(discover, wants(1), raw(61, 1, 2, 3)), []uint8{53, 54, 51, 58, 59, 61, 1}},
		{"empty client identifier", message(discover, wants(1), raw(61)), []uint8{53, 54, 51, 58, 59, 1}},
		{"inform", message(inform, ciaddr("10.244.1.7"), wants(3, 51, 58)), []uint8{53, 54, 1, 3}},
		{"nak", message(requesting, asks("10.0.0.9"), wants(3), raw(61, 1, 2, 3)), []uint8{53, 54, 56, 61}},
	}
	offer := newOffer(t, mustProfile(t, "flannel"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := replyTo(t, offer, test.message)
			if diff := cmp.Diff(test.want, d.codes()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOptionValues checks the bytes of all options except the routes.
func TestOptionValues(t *testing.T) {
	d := replyTo(t, newOffer(t, mustProfile(t, "flannel")), message(discover, raw(61, 1, 2, 3)))
	want := map[uint8][]byte{
		1: {255, 255, 255, 0}, 3: {10, 244, 1, 1}, 6: {10, 96, 0, 10}, 12: []byte("web-0"),
		15: []byte("default.svc.cluster.local"), 26: {0x05, 0xaa}, 28: {10, 244, 1, 255}, 51: {0, 0, 0x0e, 0x10},
		53: {2}, 54: {10, 244, 1, 1}, 58: {0, 0, 0x07, 0x08}, 59: {0, 0, 0x0c, 0x4e}, 61: {1, 2, 3},
		119: []byte("\x07default\x03svc\x07cluster\x05local\x00\x03svc\x07cluster\x05local\x00\x07cluster\x05local\x00"),
	}
	for code, value := range want {
		if got := d.value(code); !bytes.Equal(got, value) {
			t.Errorf("option %d is %x, want %x", code, got, value)
		}
	}
}

// TestMaximumSize checks option 57: the datagram is never larger, and options are omitted in the order of byImportance. The routes
// take 222 bytes, so that 119 no longer fits into 576 bytes, while 15, 12, 58 and 59 do.
func TestMaximumSize(t *testing.T) {
	o := mustProfile(t, "flannel")
	for i := range 26 {
		o.Routes = append(o.Routes, route(fmt.Sprintf("172.16.%d.0/24 via 10.244.1.1", i)))
	}
	offer := newOffer(t, o)
	tests := []struct {
		name    string
		message []byte
		limit   int
		dropped []uint8
	}{
		{"none", message(discover), 576, []uint8{119, 28}},
		{"below the minimum", message(discover, size(100)), 576, []uint8{119, 28}},
		{"malformed", message(discover, raw(57, 9)), 576, []uint8{119, 28}},
		{"larger", message(discover, size(1400)), 1400, nil},
		{"larger than the link", message(discover, size(65535)), 1450, nil},
		{"no room for all routes", message(discover, raw(61, make([]byte, 60)...)), 576, nil},
		{"no room for more than the default route", message(discover, raw(61, make([]byte, 255)...)), 576,
			[]uint8{119, 15, 12, 59, 28}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := Answer(offer, Query{Message: test.message, Now: testNow})
			checkReply(t, offer, r)
			if len(r.Reply) > test.limit-28 {
				t.Errorf("%d bytes, at most %d", len(r.Reply), test.limit-28)
			}
			d := replyTo(t, offer, test.message)
			for _, code := range []uint8{1, 3, 6, 12, 15, 26, 28, 51, 53, 54, 58, 59, 119, 121} {
				if has := d.value(code) != nil; has == slices.Contains(test.dropped, code) {
					t.Errorf("option %d: sent %v, want %v", code, has, !has)
				}
			}
		})
	}
}

// TestNothingNeededIsDropped fills the smallest message with the options that are always sent.
func TestNothingNeededIsDropped(t *testing.T) {
	o := mustProfile(t, "flannel")
	o.NameServers = nil
	for i := range byte(maxNameServers) {
		o.NameServers = append(o.NameServers, netip.AddrFrom4([4]byte{10, 96, 0, i + 1}))
	}
	d := replyTo(t, newOffer(t, o), message(discover, raw(61, make([]byte, maxClientID)...)))
	if size := 240 + len(d.options)*2 + 1 + 4 + 4 + 4 + 1 + 255 + 4 + 20; size > 548 {
		t.Errorf("%d bytes are always sent, at most 548 fit", size)
	}
	for _, code := range []uint8{53, 54, 51, 61, 1, 3, 6} {
		if d.value(code) == nil {
			t.Errorf("option %d is missing", code)
		}
	}
}

// TestLongOption checks that a value of more than 255 bytes is sent in several instances (RFC 3396).
func TestLongOption(t *testing.T) {
	o := mustProfile(t, "flannel")
	o.Routes = nil
	for i := range 50 {
		o.Routes = append(o.Routes, route(fmt.Sprintf("172.16.%d.0/24 via 10.244.1.1", i)))
	}
	offer, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "routes: 409 bytes of DHCP option 121, and 261 fit") {
		t.Fatalf("error %v, warnings %q, want one of the routes", err, warnings)
	}
	d := replyTo(t, offer, message(discover, size(1450), wants(1, 249, 121)))
	for _, option := range d.options {
		if option.code != 121 && option.code != 249 {
			continue
		}
		if option.instances != 2 || len(option.value) != 50*8+5 {
			t.Errorf("option %d has %d instances and %d bytes, want 2 and %d",
				option.code, option.instances, len(option.value), 50*8+5)
		}
	}
	for limit := uint16(576); limit <= 1450; limit++ {
		r := Answer(offer, Query{Message: message(discover, size(limit)), Now: testNow})
		if len(r.Reply) > int(limit)-28 {
			t.Errorf("%d bytes, want at most %d", len(r.Reply), limit-28)
		}
	}
	m, err := dhcpv4.FromBytes(Answer(offer, Query{Message: message(discover, size(1450)), Now: testNow}).Reply)
	if err != nil {
		t.Fatal(err)
	}
	if routes := m.ClasslessStaticRoute(); len(routes) != 51 {
		t.Errorf("the library reads %d routes, want 51", len(routes))
	}
}

// TestLongLease checks that the longest lease is not sent as infinity (RFC 2131, section 3.3).
func TestLongLease(t *testing.T) {
	o := mustProfile(t, "flannel")
	o.Lease = 1 << 62
	d := replyTo(t, newOffer(t, o), message(discover))
	times := []uint32{}
	for _, code := range []uint8{58, 59, 51} {
		times = append(times, binary.BigEndian.Uint32(d.value(code)))
	}
	if !slices.IsSorted(times) || times[2] != 1<<32-2 {
		t.Errorf("T1, T2, lease are %d", times)
	}
}
