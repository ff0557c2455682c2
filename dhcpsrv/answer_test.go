package dhcpsrv

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// message builds a message of a client with modifiers of the library.
func message(kind dhcpv4.MessageType, modifiers ...dhcpv4.Modifier) []byte {
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		TransactionID: dhcpv4.TransactionID{1, 2, 3, 4},
		ClientHWAddr:  net.HardwareAddr(guestMAC[:]),
		Options:       dhcpv4.Options{},
	}
	if kind != dhcpv4.MessageTypeNone {
		m.UpdateOption(dhcpv4.OptMessageType(kind))
	}
	for _, modify := range modifiers {
		modify(m)
	}
	return m.ToBytes()
}

func asks(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(a)))
}

func server(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(a)))
}

func ciaddr(a string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.ParseIP(a)) }

func mac(m MAC) dhcpv4.Modifier { return dhcpv4.WithHwAddr(m[:]) }

func raw(code uint8, value ...byte) dhcpv4.Modifier {
	return func(m *dhcpv4.DHCPv4) { m.Options[code] = value }
}

const (
	discover   = dhcpv4.MessageTypeDiscover
	requesting = dhcpv4.MessageTypeRequest
	inform     = dhcpv4.MessageTypeInform
	release    = dhcpv4.MessageTypeRelease
	decline    = dhcpv4.MessageTypeDecline
)

// TestStates checks the states of RFC 2131 with the flannel profile: pod address 10.244.1.7, server 10.244.1.1.
func TestStates(t *testing.T) {
	mine := Lease{MAC: guestMAC, HostName: "guest", Expires: testNow.Add(time.Minute)}
	theirs := Lease{MAC: otherMAC, HostName: "other", Expires: testNow.Add(time.Minute)}
	expired := Lease{MAC: otherMAC, Expires: testNow}
	renewed := Lease{MAC: guestMAC, Expires: testNow.Add(time.Hour)}
	renewedByName := Lease{MAC: guestMAC, HostName: "guest", Expires: testNow.Add(time.Hour)}

	const us, pod, wrong, stranger = "10.244.1.1", "10.244.1.7", "10.0.0.9", "10.0.0.1"
	const refused = "requested 10.0.0.9: the pod address is 10.244.1.7"
	const held = "52:54:00:aa:bb:cc has the lease"
	tests := []struct {
		name    string
		message []byte
		lease   Lease
		gone    bool
		sent    MessageType
		change  Change
		after   Lease
		why     string
	}{
		{"discover", message(discover), Lease{}, false, MessageOffer, Unchanged, Lease{}, ""},
		{"discover another address", message(discover, asks(wrong)), Lease{}, false, MessageOffer, Unchanged, Lease{}, ""},
		{"discover with lease", message(discover), mine, false, MessageOffer, Unchanged, mine, ""},
		{"discover while held", message(discover), theirs, false, "", Unchanged, theirs, held},
		{"discover while the owner is gone", message(discover), theirs, true, MessageOffer, Unchanged, theirs, ""},
		{"discover after expiry", message(discover), expired, false, MessageOffer, Unchanged, expired, ""},

		{"selecting", message(requesting, asks(pod), server(us)), Lease{}, false, MessageAck, Bound, renewed, ""},
		{"selecting wrong address", message(requesting, asks(wrong), server(us)), Lease{}, false, MessageNak, Unchanged, Lease{}, refused},
		{"selecting another server", message(requesting, asks(wrong), server(stranger)), mine, false, "", Unchanged, mine,
			"for the server 10.0.0.1: this one is 10.244.1.1"},
		{"selecting while held", message(requesting, asks(pod), server(us)), theirs, false, "", Unchanged, theirs, held},
		{"selecting while the owner is gone", message(requesting, asks(pod), server(us)), theirs, true, MessageAck, Bound, renewed, ""},
		{"selecting after expiry", message(requesting, asks(pod), server(us)), expired, false, MessageAck, Bound, renewed, ""},
		{"selecting with ciaddr only", message(requesting, ciaddr(pod), server(us)), Lease{}, false, MessageAck, Bound, renewed, ""},
		{"selecting without address", message(requesting, server(us)), Lease{}, false, "", Unchanged, Lease{},
			"REQUEST without option 50 and without ciaddr"},

		{"init-reboot", message(requesting, asks(pod)), Lease{}, false, MessageAck, Bound, renewed, ""},
		{"init-reboot wrong", message(requesting, asks(wrong)), Lease{}, false, MessageNak, Unchanged, Lease{}, refused},
		{"init-reboot wrong while held", message(requesting, asks(wrong)), theirs, false, MessageNak, Unchanged, theirs, refused},
		{"init-reboot 0.0.0.0", message(requesting, asks("0.0.0.0")), Lease{}, false, MessageNak, Unchanged, Lease{},
			"requested 0.0.0.0: the pod address is 10.244.1.7"},

		{"renewing", message(requesting, ciaddr(pod)), mine, false, MessageAck, Bound, renewedByName, ""},
		{"renewing without lease", message(requesting, ciaddr(pod)), Lease{}, false, MessageAck, Bound, renewed, ""},
		{"renewing wrong", message(requesting, ciaddr(wrong)), mine, false, MessageNak, Unchanged, mine, refused},
		{"renewing wrong with right option 50", message(requesting, ciaddr(wrong), asks(pod)), mine, false, MessageNak, Unchanged, mine, refused},
		{"renewing while held", message(requesting, ciaddr(pod)), theirs, false, "", Unchanged, theirs, held},
		{"request of nothing", message(requesting), mine, false, "", Unchanged, mine,
			"REQUEST without option 50 and without ciaddr"},

		{"inform", message(inform, ciaddr(pod)), Lease{}, false, MessageAck, Unchanged, Lease{}, ""},
		{"inform while held", message(inform, ciaddr(pod)), theirs, false, MessageAck, Unchanged, theirs, ""},
		{"inform of another address", message(inform, ciaddr(wrong)), Lease{}, false, "", Unchanged, Lease{},
			"INFORM for 10.0.0.9: the pod address is 10.244.1.7"},

		{"release", message(release, ciaddr(pod), server(us)), mine, false, "", Released, Lease{}, "lease of 10.244.1.7 released"},
		{"release by another MAC", message(release, ciaddr(pod), server(us)), theirs, false, "", Unchanged, theirs,
			"RELEASE from 52:54:00:12:34:56, which has no lease"},
		{"release by another MAC while the owner is gone", message(release, ciaddr(pod), server(us)), theirs, true, "", Unchanged, theirs,
			"RELEASE from 52:54:00:12:34:56, which has no lease"},
		{"release of another address", message(release, ciaddr(wrong), server(us)), mine, false, "", Unchanged, mine,
			"RELEASE of 10.0.0.9: the pod address is 10.244.1.7"},
		{"release to another server", message(release, ciaddr(pod), server(stranger)), mine, false, "", Unchanged, mine,
			"for the server 10.0.0.1: this one is 10.244.1.1"},

		{"decline", message(decline, asks(pod), server(us)), mine, false, "", Declined, Lease{},
			"the client found 10.244.1.7 in use"},
		{"decline by another MAC", message(decline, asks(pod), server(us)), theirs, false, "", Unchanged, theirs,
			"DECLINE from 52:54:00:12:34:56, which has no lease"},
		{"decline of another address", message(decline, asks(wrong), server(us)), mine, false, "", Unchanged, mine,
			"DECLINE of 10.0.0.9: the pod address is 10.244.1.7"},
		{"decline of nothing", message(decline, server(us)), mine, false, "", Unchanged, mine,
			"DECLINE without option 50"},
		{"decline to another server", message(decline, asks(pod), server(stranger)), mine, false, "", Unchanged, mine,
			"for the server 10.0.0.1: this one is 10.244.1.1"},
	}
	offer := newOffer(t, mustProfile(t, "flannel"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := Answer(offer, Query{Message: test.message, Lease: test.lease, OwnerGone: test.gone, Now: testNow})
			if r.Sent != test.sent || r.Change != test.change || r.Reason != test.why || r.Held != (test.why == held) {
				t.Errorf("sent %q, change %s, held %v, why %q; want %q, %s, %q",
					r.Sent, r.Change, r.Held, r.Reason, test.sent, test.change, test.why)
			}
			if diff := cmp.Diff(test.after, r.Lease); diff != "" {
				t.Errorf("lease (-want +got):\n%s", diff)
			}
			checkReply(t, offer, r)
		})
	}
}

// checkReply checks the invariants of every result.
func checkReply(t *testing.T, o *Offer, r Result) {
	t.Helper()
	if (r.Reply == nil) != (r.Sent == "") || r.To.IsValid() != (r.Reply != nil) {
		t.Errorf("sent %q with %d bytes to %s", r.Sent, len(r.Reply), r.To)
	}
	if (r.Reply == nil || r.Sent == MessageNak) && r.Reason == "" {
		t.Error("no Reason")
	}
	if r.Reply == nil {
		return
	}
	if len(r.Reply) < 300 {
		t.Errorf("%d bytes, BOOTP has at least 300", len(r.Reply))
	}
	if _, err := dhcpv4.FromBytes(r.Reply); err != nil {
		t.Errorf("the library refuses the reply: %v", err)
	}
	d, err := decode(r.Reply)
	if err != nil {
		t.Fatal(err)
	}
	yiaddr, pod, zero := d.addr(16), o.Address.Addr(), netip.IPv4Unspecified()
	if yiaddr != pod && yiaddr != zero {
		t.Errorf("yiaddr %s, the pod address is %s", yiaddr, pod)
	}
	if codes := d.codes(); len(codes) < 2 || codes[0] != 53 || codes[1] != 54 {
		t.Errorf("options begin with %d, want 53 and 54", codes)
	}
	timed := d.value(51) != nil
	if gives := r.Sent == MessageOffer || yiaddr == pod; gives != timed || gives != (yiaddr == pod) {
		t.Errorf("%s gives %s with times: %v", r.Sent, yiaddr, timed)
	}
	for _, o := range d.options {
		if len(o.value) == 0 {
			t.Errorf("option %d is empty", o.code)
		}
		if r.Sent == MessageNak && !bytes.Contains([]byte{53, 54, 56, 61}, []byte{o.code}) {
			t.Errorf("option %d in a NAK (RFC 2131, table 3)", o.code)
		}
	}
	next := o.next
	if r.Sent == MessageNak {
		next = zero
	}
	if h := d.header; h[0] != 2 || h[1] != 1 || h[2] != 6 || h[3] != 0 || d.addr(20) != next || d.addr(24) != zero {
		t.Errorf("fixed part %x", h[:28])
	}
}

// TestDestination checks the rules of RFC 2131, section 4.1.
func TestDestination(t *testing.T) {
	flag := dhcpv4.WithBroadcast(true)
	everyone := MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	tests := []struct {
		name    string
		message []byte
		to      string
		mac     MAC
		flags   byte
	}{
		{"offer", message(discover), "10.244.1.7:68", guestMAC, 0},
		{"offer by broadcast", message(discover, flag), "255.255.255.255:68", everyone, 0x80},
		{"ack", message(requesting, asks("10.244.1.7")), "10.244.1.7:68", guestMAC, 0},
		{"ack by broadcast", message(requesting, asks("10.244.1.7"), flag), "255.255.255.255:68", everyone, 0x80},
		{"ack to ciaddr", message(requesting, ciaddr("10.244.1.7")), "10.244.1.7:68", guestMAC, 0},
		{"ack to ciaddr despite the flag", message(requesting, ciaddr("10.244.1.7"), flag), "10.244.1.7:68", guestMAC, 0x80},
		{"inform", message(inform, ciaddr("10.244.1.7"), flag), "10.244.1.7:68", guestMAC, 0x80},
		{"offer never to a wrong ciaddr", message(discover, ciaddr("10.0.0.9")), "10.244.1.7:68", guestMAC, 0},
		{"nak", message(requesting, asks("10.0.0.9")), "255.255.255.255:68", everyone, 0},
		{"nak of ciaddr", message(requesting, ciaddr("10.0.0.9")), "255.255.255.255:68", everyone, 0},
	}
	offer := newOffer(t, mustProfile(t, "flannel"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := Answer(offer, Query{Message: test.message, Now: testNow})
			checkReply(t, offer, r)
			if r.To.String() != test.to || r.ToMAC != test.mac {
				t.Errorf("to %s at %s, want %s at %s", r.To, r.ToMAC, test.to, test.mac)
			}
			if r.Reply[10] != test.flags {
				t.Errorf("flags %#x, want %#x", r.Reply[10], test.flags)
			}
		})
	}
}

// TestLifeOfALease checks the lease after each message of one client, and then of another.
func TestLifeOfALease(t *testing.T) {
	offer := newOffer(t, mustProfile(t, "flannel"))
	var lease Lease
	now := testNow
	step := func(want MessageType, message []byte) {
		t.Helper()
		r := Answer(offer, Query{Message: message, Lease: lease, Now: now})
		if r.Sent != want {
			t.Fatalf("sent %q (%s), want %q", r.Sent, r.Reason, want)
		}
		lease = r.Lease
	}
	take := []dhcpv4.Modifier{asks("10.244.1.7"), server("10.244.1.1")}
	step(MessageOffer, message(discover))
	step(MessageAck, message(requesting, append(take, dhcpv4.WithOption(dhcpv4.OptHostName("vm\x00")))...))
	if lease.HostName != "vm" {
		t.Errorf("host name %q, want vm", lease.HostName)
	}
	now = now.Add(30 * time.Minute)
	step("", message(discover, mac(otherMAC)))
	step(MessageAck, message(requesting, ciaddr("10.244.1.7")))
	now = now.Add(59 * time.Minute)
	step("", message(discover, mac(otherMAC)))
	now = now.Add(time.Minute)
	step(MessageOffer, message(discover, mac(otherMAC)))
	step(MessageAck, message(requesting, append(take, mac(otherMAC))...))
	if lease.MAC != otherMAC || lease.HostName != "" {
		t.Errorf("the successor's lease is %v", lease)
	}
	step("", message(discover))
	step("", message(release, ciaddr("10.244.1.7"), mac(otherMAC)))
	step(MessageOffer, message(discover))
}

// TestNoLeaseIsLongerThanTheAddress checks that a lease ends with the lifetime of the address, and T1 and T2 before its preferred one.
func TestNoLeaseIsLongerThanTheAddress(t *testing.T) {
	given := mustProfile(t, "flannel")
	given.Lease, given.Expires, given.Deprecated = time.Hour, testNow.Add(1000*time.Second), testNow.Add(400*time.Second)
	offer := newOffer(t, given)
	request := message(requesting, asks("10.244.1.7"), server("10.244.1.1"))
	for _, test := range []struct {
		after         time.Duration
		sent          MessageType
		lease, t1, t2 int
	}{
		{-3000 * time.Second, MessageAck, 3600, 1700, 2975},
		{0, MessageAck, 1000, 200, 350},
		{200 * time.Second, MessageAck, 800, 100, 175},
		{400 * time.Second, MessageAck, 600, 300, 525},
		{999 * time.Second, MessageAck, 1, 0, 0},
		{1000 * time.Second, MessageNak, 0, 0, 0},
		{5000 * time.Second, MessageNak, 0, 0, 0},
	} {
		now := testNow.Add(test.after)
		r := Answer(offer, Query{Message: request, Now: now})
		if r.Sent != test.sent {
			t.Errorf("after %s: sent %q (%s), want %q", test.after, r.Sent, r.Reason, test.sent)
			continue
		}
		if test.sent == MessageNak {
			if d := Answer(offer, Query{Message: message(discover), Now: now}); d.Sent != "" || r.Lease != (Lease{}) {
				t.Errorf("after %s: sent %q for DISCOVER, the lease is %v", test.after, d.Sent, r.Lease)
			}
			continue
		}
		reply, err := dhcpv4.FromBytes(r.Reply)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Duration(test.lease) * time.Second
		got := []time.Duration{reply.IPAddressLeaseTime(0), reply.IPAddressRenewalTime(0), reply.IPAddressRebindingTime(0), r.Lease.Expires.Sub(now)}
		if diff := cmp.Diff([]time.Duration{want, time.Duration(test.t1) * time.Second, time.Duration(test.t2) * time.Second, want}, got); diff != "" {
			t.Errorf("after %s: -want +got:\n%s", test.after, diff)
		}
	}
}
