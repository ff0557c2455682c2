package dhcpsrv

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// The messages of clients, in short.
const (
	solicit6    = dhcpv6.MessageTypeSolicit
	requesting6 = dhcpv6.MessageTypeRequest
	confirm6    = dhcpv6.MessageTypeConfirm
	renew6      = dhcpv6.MessageTypeRenew
	rebind6     = dhcpv6.MessageTypeRebind
	release6    = dhcpv6.MessageTypeRelease
	decline6    = dhcpv6.MessageTypeDecline
	inform6     = dhcpv6.MessageTypeInformationRequest
)

var (
	clientDUID = DUID{0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56}
	serverDUID = DUID{0, 3, 0, 1, 0x02, 0x5e, 0x10, 0, 0, 1}
	otherDUID  = DUID{0, 4, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}
)

// message6 returns a message with the transaction 010203.
func message6(kind dhcpv6.MessageType, options ...[]byte) []byte {
	return append([]byte{byte(kind), 1, 2, 3}, slices.Concat(options...)...)
}

// opt6 encodes an option.
func opt6(code int, parts ...[]byte) []byte {
	value := slices.Concat(parts...)
	return append([]byte{byte(code >> 8), byte(code), byte(len(value) >> 8), byte(len(value))}, value...)
}

func cid() []byte { return opt6(1, clientDUID) }
func sid() []byte { return opt6(2, serverDUID) }

// na, ta and pd encode IAs with T1 and T2 of 7 seconds, and addresses with lifetimes of 9.
func na(id byte, addresses ...netip.Addr) []byte {
	return opt6(3, []byte{0, 0, 0, id, 0, 0, 0, 7, 0, 0, 0, 7}, iaAddresses(addresses))
}
func ta(id byte, addresses ...netip.Addr) []byte {
	return opt6(4, []byte{0, 0, 0, id}, iaAddresses(addresses))
}
func pd(id byte) []byte { return opt6(25, []byte{0, 0, 0, id, 0, 0, 0, 7, 0, 0, 0, 7}) }

func iaAddresses(addresses []netip.Addr) (list []byte) {
	for _, a := range addresses {
		list = append(list, opt6(5, a.AsSlice(), []byte{0, 0, 0, 9, 0, 0, 0, 9})...)
	}
	return list
}

// oro encodes an option request.
func oro(codes ...byte) []byte {
	var value []byte
	for _, c := range codes {
		value = append(value, 0, c)
	}
	return opt6(6, value)
}

// boundTo returns a lease of the guest with these IAIDs.
func boundTo(iaids ...uint32) Lease6 {
	return Lease6{MAC: guestMAC, DUID: clientDUID, IAIDs: iaids, HostName: "before", Expires: testNow.Add(time.Hour)}
}

// reply6 parses a reply with the library.
func reply6(t *testing.T, r Result6) *dhcpv6.Message {
	t.Helper()
	if r.Reply == nil {
		t.Fatalf("no reply: %s", r.Reason)
	}
	m, err := dhcpv6.MessageFromBytes(r.Reply)
	if err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	return m
}

// iaText returns the IAs of a message and its status as text.
func iaText(m *dhcpv6.Message) string {
	var list []string
	if s := m.Options.Status(); s != nil {
		list = append(list, s.StatusCode.String())
	}
	inner := func(name string, id [4]byte, options dhcpv6.Options) {
		text := fmt.Sprintf("%s %d:", name, id[3])
		for _, o := range options {
			switch o := o.(type) {
			case *dhcpv6.OptIAAddress:
				text += fmt.Sprintf(" %s %s/%s", o.IPv6Addr, o.PreferredLifetime, o.ValidLifetime)
			case *dhcpv6.OptStatusCode:
				text += " " + o.StatusCode.String()
			}
		}
		list = append(list, text)
	}
	for _, o := range m.Options.Options {
		switch o := o.(type) {
		case *dhcpv6.OptIANA:
			inner(fmt.Sprintf("na(%s,%s)", o.T1, o.T2), o.IaId, o.Options.Options)
		case *dhcpv6.OptIATA:
			inner("ta", o.IaId, o.Options.Options)
		case *dhcpv6.OptIAPD:
			inner("pd", o.IaId, o.Options.Options)
		}
	}
	return strings.Join(list, "; ")
}

// TestAnswer6 has the rows of the table in doc.go.
func TestAnswer6(t *testing.T) {
	const ours = "na(12h0m0s,19h12m0s) 1: fd00:10:244:1::7 24h0m0s/24h0m0s"
	for _, test := range []struct {
		name    string
		message []byte
		lease   Lease6
		sent    MessageType // empty: silence
		ias     string
		change  Change
		iaids   []uint32 // after it
	}{
		{"SOLICIT", message6(solicit6, cid(), na(1)), Lease6{}, MessageAdvertise, ours, Unchanged, nil},
		{"SOLICIT with a hint", message6(solicit6, cid(), na(1, wrong6)), Lease6{}, MessageAdvertise, ours, Unchanged, nil},
		{"SOLICIT with rapid commit", message6(solicit6, cid(), opt6(14), na(1)), Lease6{}, MessageReply, ours, Bound, []uint32{1}},
		{"SOLICIT with rapid commit for a prefix", message6(solicit6, cid(), opt6(14), pd(1)), Lease6{}, MessageAdvertise, "pd 1: NoPrefixAvail", Unchanged, nil},
		{"SOLICIT of everything", message6(solicit6, cid(), na(1), ta(2), pd(1), na(4)), Lease6{}, MessageAdvertise,
			ours + "; ta 2: NoAddrsAvail; pd 1: NoPrefixAvail; " + strings.Replace(ours, " 1:", " 4:", 1), Unchanged, nil},
		{"SOLICIT with one IAID twice", message6(solicit6, cid(), na(1), na(1)), Lease6{}, MessageAdvertise, ours, Unchanged, nil},
		{"REQUEST", message6(requesting6, cid(), sid(), na(1, podAddress6)), Lease6{}, MessageReply, ours, Bound, []uint32{1}},
		{"REQUEST without an address", message6(requesting6, cid(), sid(), na(1)), Lease6{}, MessageReply, ours, Bound, []uint32{1}},
		{"REQUEST of a wrong address", message6(requesting6, cid(), sid(), na(1, wrong6)), Lease6{}, MessageReply, "na(0s,0s) 1: NotOnLink", Unchanged, nil},
		{"REQUEST of both", message6(requesting6, cid(), sid(), na(1, podAddress6, wrong6), na(2)), boundTo(1), MessageReply,
			"na(0s,0s) 1: NotOnLink; " + strings.Replace(ours, " 1:", " 2:", 1), Bound, []uint32{1, 2}},
		{"REQUEST in a second IA", message6(requesting6, cid(), sid(), na(2)), boundTo(1), MessageReply, strings.Replace(ours, " 1:", " 2:", 1), Bound, []uint32{1, 2}},
		{"REQUEST of another DUID", message6(requesting6, opt6(1, otherDUID), sid(), na(1)), boundTo(4, 5), MessageReply, ours, Bound, []uint32{1}},
		{"RENEW", message6(renew6, cid(), sid(), na(1, podAddress6)), boundTo(2, 1, 3), MessageReply, ours, Bound, []uint32{2, 3, 1}},
		{"RENEW without a lease", message6(renew6, cid(), sid(), na(1, podAddress6)), Lease6{}, MessageReply, ours, Bound, []uint32{1}},
		{"RENEW of a wrong address", message6(renew6, cid(), sid(), na(1, wrong6)), Lease6{}, MessageReply, ours + " " + wrong6.String() + " 0s/0s", Bound, []uint32{1}},
		{"REBIND of a wrong address", message6(rebind6, cid(), na(1, wrong6)), Lease6{}, MessageReply, ours + " " + wrong6.String() + " 0s/0s", Bound, []uint32{1}},
		{"CONFIRM", message6(confirm6, cid(), na(1, podAddress6)), boundTo(1), MessageReply, "Success", Unchanged, []uint32{1}},
		{"CONFIRM after a restart of podswitch", message6(confirm6, cid(), na(1, podAddress6)), Lease6{}, MessageReply, "Success", Unchanged, nil},
		{"CONFIRM of a wrong address", message6(confirm6, cid(), na(1, podAddress6), na(2, wrong6)), boundTo(1), MessageReply, "NotOnLink", Unchanged, []uint32{1}},
		{"CONFIRM of a wrong temporary address", message6(confirm6, cid(), na(1, podAddress6), ta(2, wrong6)), boundTo(1), MessageReply, "NotOnLink", Unchanged, []uint32{1}},
		{"CONFIRM of nothing", message6(confirm6, cid(), na(1)), boundTo(1), "", "", Unchanged, []uint32{1}},
		{"RELEASE", message6(release6, cid(), sid(), na(1, podAddress6)), boundTo(1), MessageReply, "Success", Released, nil},
		{"RELEASE of one of two IAs", message6(release6, cid(), sid(), na(1, podAddress6)), boundTo(1, 2), MessageReply, "Success", Unchanged, []uint32{2}},
		{"RELEASE of both", message6(release6, cid(), sid(), na(1, podAddress6), na(2, podAddress6)), boundTo(1, 2), MessageReply, "Success", Released, nil},
		{"RELEASE of an unknown IA", message6(release6, cid(), sid(), na(3, podAddress6)), boundTo(1), MessageReply, "Success; na(0s,0s) 3: NoBinding", Unchanged, []uint32{1}},
		{"RELEASE of another address", message6(release6, cid(), sid(), na(1, wrong6)), boundTo(1), MessageReply, "Success", Unchanged, []uint32{1}},
		{"RELEASE of no address", message6(release6, cid(), sid(), na(1)), boundTo(1), MessageReply, "Success", Unchanged, []uint32{1}},
		{"RELEASE of an earlier client", message6(release6, opt6(1, otherDUID), sid(), na(1, podAddress6)), boundTo(1), MessageReply, "Success; na(0s,0s) 1: NoBinding", Unchanged, []uint32{1}},
		{"RELEASE without a lease", message6(release6, cid(), sid(), na(1, podAddress6)), Lease6{}, MessageReply, "Success; na(0s,0s) 1: NoBinding", Unchanged, nil},
		{"RELEASE of a prefix", message6(release6, cid(), sid(), pd(1)), boundTo(1), MessageReply, "Success; pd 1: NoBinding", Unchanged, []uint32{1}},
		{"DECLINE", message6(decline6, cid(), sid(), na(1, podAddress6)), boundTo(1), MessageReply, "Success", Declined, nil},
		{"DECLINE of one of two IAs", message6(decline6, cid(), sid(), na(2, podAddress6)), boundTo(1, 2), MessageReply, "Success", Unchanged, []uint32{1}},
		{"INFORMATION-REQUEST", message6(inform6, cid()), boundTo(1), MessageReply, "", Unchanged, []uint32{1}},
		{"INFORMATION-REQUEST without an identifier", message6(inform6), Lease6{}, MessageReply, "", Unchanged, nil},
		{"INFORMATION-REQUEST to this server", message6(inform6, sid()), Lease6{}, MessageReply, "", Unchanged, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := query6(test.message)
			q.Lease = test.lease
			r := Answer6(newOffer6(t, mustProfile6(t, "bridge+http")), q)
			if r.Sent != test.sent || r.Change != test.change || !slices.Equal(r.Lease.IAIDs, test.iaids) {
				t.Errorf("sent %q, change %s, IAIDs %d, want %q, %s, %d (%s)", r.Sent, r.Change, r.Lease.IAIDs, test.sent, test.change, test.iaids, r.Reason)
			}
			if r.Change == Released || r.Change == Declined {
				if r.Lease.MAC != (MAC{}) {
					t.Errorf("a lease of %s remains", r.Lease.MAC)
				}
			}
			if test.sent == "" {
				if r.Reply != nil || r.Reason == "" {
					t.Errorf("a reply of %d bytes, why %q", len(r.Reply), r.Reason)
				}
				return
			}
			if got := iaText(reply6(t, r)); got != test.ias {
				t.Errorf("got  %s\nwant %s", got, test.ias)
			}
		})
	}
}

// TestRefused6 has messages that get no answer, with the beginning of the Reason.
func TestRefused6(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	for _, test := range refused6() {
		t.Run(test.name, func(t *testing.T) {
			given := slices.Clone(test.message)
			q := query6(test.message)
			q.Lease = boundTo(1)
			r := Answer6(offer, q)
			if r.Reply != nil || r.Sent != "" || r.Change != Unchanged || r.Held || !strings.HasPrefix(r.Reason, test.why) {
				t.Errorf("sent %q, change %s, why %q, want %q", r.Sent, r.Change, r.Reason, test.why)
			}
			if !bytes.Equal(given, test.message) {
				t.Error("the message was changed")
			}
		})
	}
}

func refused6() []abuse {
	foreign := opt6(2, otherDUID)
	return []abuse{
		{"empty", nil, "truncated: 0 bytes"},
		{"three bytes", []byte{1, 0, 0}, "truncated: 3 bytes"},
		{"2 KiB", append(message6(solicit6, cid()), make([]byte, 2048)...), "too long"},
		{"type 0", message6(0, cid()), "message type 0: clients"},
		{"ADVERTISE", message6(2, cid(), sid()), "message type 2: clients"},
		{"REPLY", message6(7, cid(), sid()), "message type 7: clients"},
		{"RECONFIGURE", message6(10, cid(), sid()), "message type 10: clients"},
		{"LEASEQUERY", message6(14, cid()), "message type 14: clients"},
		{"type 255", message6(255, cid()), "message type 255: clients"},
		{"relayed", append([]byte{12, 0}, append(make([]byte, 32), opt6(9, message6(solicit6, cid(), na(1)))...)...), "relayed: "},
		{"a relay's reply", append([]byte{13, 0}, append(make([]byte, 32), opt6(9, message6(solicit6, cid(), na(1)))...)...), "relayed: "},
		{"a relay's type before the options of a client", message6(12, cid(), na(1)), "relayed: "},
		{"a type of a relay's reply before the options of a client", message6(13, cid(), na(1)), "relayed: "},
		{"relayed without a header", []byte{12, 0, 0, 0}, "relayed: "},
		{"half an option", append(message6(solicit6, cid()), 0, 3, 0), "malformed: 3 bytes behind"},
		{"an option over the end", append(message6(solicit6, cid()), 0, 3, 0, 12, 0), "malformed: option 3 has 12 bytes, and 1 are left"},
		{"client identifier of 0 bytes", message6(solicit6, opt6(1)), "malformed: option 1 has 0 bytes"},
		{"client identifier of 131 bytes", message6(solicit6, opt6(1, make([]byte, 131))), "malformed: option 1 has 131 bytes"},
		{"client identifier twice", message6(solicit6, cid(), cid()), "malformed: option 1 twice"},
		{"server identifier of 0 bytes", message6(requesting6, cid(), opt6(2)), "malformed: option 2 has 0 bytes"},
		{"IA_NA of 0 bytes", message6(solicit6, cid(), opt6(3)), "malformed: option 3 has 0 bytes, want at least 12"},
		{"IA_TA of 3 bytes", message6(solicit6, cid(), opt6(4, []byte{0, 0, 0})), "malformed: option 4 has 3 bytes, want at least 4"},
		{"IA_PD of 11 bytes", message6(solicit6, cid(), opt6(25, make([]byte, 11))), "malformed: option 25 has 11 bytes, want at least 12"},
		{"IA address of 0 bytes", message6(solicit6, cid(), opt6(3, make([]byte, 12), opt6(5))), "malformed: option 5 has 0 bytes, want at least 24"},
		{"IA address over the end of its IA", message6(solicit6, cid(), opt6(3, make([]byte, 12), []byte{0, 5, 0, 24})), "malformed: option 5 has 24 bytes, and 0 are left"},
		{"SOLICIT without client", message6(solicit6, na(1)), "no client identifier"},
		{"SOLICIT with a server", message6(solicit6, cid(), sid(), na(1)), "a server identifier"},
		{"REQUEST without server", message6(requesting6, cid(), na(1)), "no server identifier"},
		{"REQUEST without client", message6(requesting6, sid(), na(1)), "no client identifier"},
		{"REQUEST to another server", message6(requesting6, cid(), foreign, na(1)), "for the server 0004"},
		{"RENEW without server", message6(renew6, cid(), na(1, podAddress6)), "no server identifier"},
		{"RENEW to another server", message6(renew6, cid(), foreign, na(1, podAddress6)), "for the server"},
		{"REBIND with a server", message6(rebind6, cid(), sid(), na(1, podAddress6)), "a server identifier"},
		{"CONFIRM with a server", message6(confirm6, cid(), sid(), na(1, podAddress6)), "a server identifier"},
		{"RELEASE without server", message6(release6, cid(), na(1, podAddress6)), "no server identifier"},
		{"RELEASE to another server", message6(release6, cid(), foreign, na(1, podAddress6)), "for the server"},
		{"DECLINE to another server", message6(decline6, cid(), foreign, na(1, podAddress6)), "for the server"},
		{"INFORMATION-REQUEST to another server", message6(inform6, cid(), foreign), "for the server"},
		{"INFORMATION-REQUEST with an IA", message6(inform6, cid(), na(1)), "INFORMATION-REQUEST with"},
	}
}

// TestSenders6 checks which senders get answers.
func TestSenders6(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	for _, test := range []struct {
		name   string
		change func(*Query6)
		why    string // empty: an answer
	}{
		{"the guest", func(*Query6) {}, ""},
		{"the guest in a zone", func(q *Query6) { q.From = q.From.WithZone("eth0") }, ""},
		{"from the pod address", func(q *Query6) { q.From = podAddress6 }, ""},
		{"the pinned MAC", func(q *Query6) { q.PinnedMAC = guestMAC }, ""},
		{"another MAC than the pinned one", func(q *Query6) { q.PinnedMAC = otherMAC }, "from 52:54:00:12:34:56: only 52:54:00:aa:bb:cc"},
		{"no MAC", func(q *Query6) { q.MAC = MAC{} }, "client MAC"},
		{"a group's MAC", func(q *Query6) { q.MAC = MAC{0x33, 0x33} }, "client MAC"},
		{"from ::", func(q *Query6) { q.From = netip.IPv6Unspecified() }, "from ::"},
		{"from nowhere", func(q *Query6) { q.From = netip.Addr{} }, "from invalid"},
		{"from another address", func(q *Query6) { q.From = wrong6 }, "from fd00:10:244:9::9"},
		{"from an IPv4 address", func(q *Query6) { q.From = netip.MustParseAddr("169.254.1.1") }, "from 169.254.1.1"},
		{"from a mapped IPv4 address", func(q *Query6) { q.From = netip.MustParseAddr("::ffff:169.254.1.1") }, "from ::ffff:169.254.1.1"},
		{"to the server itself", func(q *Query6) { q.To = offer.Router() }, "to fe80::5e:10ff:fe00:1"},
		{"to all servers of the site", func(q *Query6) { q.To = netip.MustParseAddr("ff05::1:3") }, "to ff05::1:3"},
		{"to nowhere", func(q *Query6) { q.To = netip.Addr{} }, "to invalid"},
	} {
		q := query6(message6(solicit6, cid(), na(1)))
		test.change(&q)
		r := Answer6(offer, q)
		if (r.Reply != nil) != (test.why == "") || !strings.HasPrefix(r.Reason, test.why) {
			t.Errorf("%s: sent %q, why %q, want %q", test.name, r.Sent, r.Reason, test.why)
		}
		if r.Reply != nil && (r.To != netip.AddrPortFrom(q.From.WithZone(""), 546) || r.ToMAC != q.MAC) {
			t.Errorf("%s: the reply goes to %s at %s", test.name, r.To, r.ToMAC)
		}
	}
	if r := Answer6(&Offer6{}, query6(message6(solicit6, cid(), na(1)))); r.Reply != nil || r.Reason == "" {
		t.Errorf("an offer that was not made: sent %q, why %q", r.Sent, r.Reason)
	}
}

// TestHeld6 checks that a second MAC gets nothing with the address in it before the first one is silent or its lease has expired.
func TestHeld6(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	for _, test := range []struct {
		name    string
		message []byte
		held    bool
	}{
		{"SOLICIT", message6(solicit6, cid(), na(1)), true},
		{"SOLICIT with rapid commit", message6(solicit6, cid(), opt6(14), na(1)), true},
		{"SOLICIT of a prefix", message6(solicit6, cid(), pd(1)), false},
		{"REQUEST", message6(requesting6, cid(), sid(), na(1)), true},
		{"RENEW", message6(renew6, cid(), sid(), na(1)), true},
		{"REBIND", message6(rebind6, cid(), na(1)), true},
		{"CONFIRM", message6(confirm6, cid(), na(1, podAddress6)), true},
		{"CONFIRM of a wrong address", message6(confirm6, cid(), na(1, wrong6)), false},
		{"RELEASE", message6(release6, cid(), sid(), na(1, podAddress6)), false},
		{"INFORMATION-REQUEST", message6(inform6, cid()), false},
	} {
		lease := boundTo(1)
		lease.MAC = otherMAC
		q := query6(test.message)
		q.Lease = lease
		if r := Answer6(offer, q); r.Held != test.held || (r.Reply == nil) != test.held || r.Lease.MAC != otherMAC || r.Change != Unchanged {
			t.Errorf("%s: held %t, sent %q, lease of %s", test.name, r.Held, r.Sent, r.Lease.MAC)
		}
		q.OwnerGone = true
		if r := Answer6(offer, q); r.Held || r.Reply == nil {
			t.Errorf("%s, the owner is gone: held %t, sent %q", test.name, r.Held, r.Sent)
		}
		q.OwnerGone, q.Now = false, lease.Expires
		if r := Answer6(offer, q); r.Held || r.Reply == nil {
			t.Errorf("%s, the lease has expired: held %t, sent %q", test.name, r.Held, r.Sent)
		}
	}
}

// TestLifetimes6 checks that nothing is told for longer than the pod address is valid.
func TestLifetimes6(t *testing.T) {
	renewal := message6(renew6, cid(), sid(), na(1, podAddress6))
	for _, test := range []struct {
		expires, deprecated time.Duration // from now; 0: never
		message             []byte
		want                string
	}{
		{0, 0, renewal, "na(12h0m0s,19h12m0s) 1: fd00:10:244:1::7 24h0m0s/24h0m0s"},
		{time.Hour, 0, renewal, "na(30m0s,48m0s) 1: fd00:10:244:1::7 1h0m0s/1h0m0s"},
		{time.Hour, 10 * time.Minute, renewal, "na(5m0s,8m0s) 1: fd00:10:244:1::7 10m0s/1h0m0s"},
		{time.Hour, -time.Minute, renewal, "na(30m0s,48m0s) 1: fd00:10:244:1::7 0s/1h0m0s"},
		{time.Hour, 2 * time.Hour, renewal, "na(30m0s,48m0s) 1: fd00:10:244:1::7 1h0m0s/1h0m0s"},
		{-time.Second, 0, renewal, "na(0s,0s) 1: fd00:10:244:1::7 0s/0s"},
		{-time.Second, 0, message6(renew6, cid(), sid(), na(1)), "na(0s,0s) 1: NoAddrsAvail"},
		{-time.Second, 0, message6(solicit6, cid(), na(1)), "na(0s,0s) 1: NoAddrsAvail"},
		{-time.Second, 0, message6(solicit6, cid(), opt6(14), na(1)), "na(0s,0s) 1: NoAddrsAvail"},
		{-time.Second, 0, message6(requesting6, cid(), sid(), na(1)), "na(0s,0s) 1: NoAddrsAvail"},
		{-time.Second, 0, message6(confirm6, cid(), na(1, podAddress6)), "NotOnLink"},
	} {
		o := mustProfile6(t, "bridge")
		if test.expires != 0 {
			o.Expires = testNow.Add(test.expires)
		}
		if test.deprecated != 0 {
			o.Deprecated = testNow.Add(test.deprecated)
		}
		r := Answer6(newOffer6(t, o), query6(test.message))
		if got := iaText(reply6(t, r)); got != test.want {
			t.Errorf("expires in %s, deprecated in %s: got %s, want %s", test.expires, test.deprecated, got, test.want)
		}
		if end := testNow.Add(test.expires); test.expires > 0 && (r.Change != Bound || !r.Lease.Expires.Equal(end)) {
			t.Errorf("the lease ends at %s, the address at %s", r.Lease.Expires, end)
		} else if test.expires < 0 && (r.Change != Unchanged || r.Sent == MessageReply && r.Reason == "") {
			t.Errorf("change %s after the end of the address, why %q", r.Change, r.Reason)
		}
	}
}

// TestLeaseIsBounded checks that a client with many IAs gets a bounded answer and a bounded lease: the latest IAs.
func TestLeaseIsBounded(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	var q Query6
	for id := range byte(20) {
		lease := q.Lease
		q = query6(message6(requesting6, cid(), sid(), na(id)))
		q.Lease = lease
		q.Lease = Answer6(offer, q).Lease
	}
	if want := []uint32{12, 13, 14, 15, 16, 17, 18, 19}; !slices.Equal(q.Lease.IAIDs, want) {
		t.Errorf("IAIDs %d, want %d", q.Lease.IAIDs, want)
	}
	var many [][]byte
	for id := range byte(40) {
		many = append(many, na(id, wrong6))
	}
	q = query6(message6(renew6, append([][]byte{opt6(1, make([]byte, 130)), sid()}, many...)...))
	r := Answer6(offer, q)
	if m := reply6(t, r); len(m.Options.IANA()) != maxIAs || len(r.Lease.IAIDs) != maxIAs {
		t.Errorf("%d IAs, a lease of %d", len(m.Options.IANA()), len(r.Lease.IAIDs))
	}
	if len(r.Reply) > minMTU6-48 {
		t.Errorf("a reply of %d bytes", len(r.Reply))
	}
}

// TestLeaseIsNotShared checks that neither a query's message nor its lease changes with a result.
func TestLeaseIsNotShared(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	q := query6(message6(requesting6, cid(), sid(), na(1), opt6(39, []byte{0, 2, 'v', 'm', 4, 'h', 'o', 'm', 'e'})))
	q.Lease = boundTo(1, 2, 3)
	r := Answer6(offer, q)
	clear(q.Message)
	if !slices.Equal(q.Lease.IAIDs, []uint32{1, 2, 3}) || !slices.Equal(r.Lease.IAIDs, []uint32{2, 3, 1}) {
		t.Errorf("IAIDs %d before, %d after", q.Lease.IAIDs, r.Lease.IAIDs)
	}
	if !bytes.Equal(r.Lease.DUID, clientDUID) || !bytes.Equal(r.DUID, clientDUID) || r.Lease.HostName != "vm.home" || r.HostName != "vm.home" {
		t.Errorf("DUID %x, host name %q", r.Lease.DUID, r.Lease.HostName)
	}
}

// TestHostNames6 has the values of option 39 behind the flags. A malformed label ends the name, whatever its length says.
func TestHostNames6(t *testing.T) {
	label := func(length int) []byte { return append([]byte{byte(length)}, strings.Repeat("x", length)...) }
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	for _, test := range []struct {
		name   string
		labels [][]byte
		want   string
	}{
		{"a root", [][]byte{label(2), label(1), {0}, label(3)}, "xx.x"},
		{"no root", [][]byte{label(2), label(1)}, "xx.x"},
		{"the longest label", [][]byte{label(63)}, strings.Repeat("x", 63)},
		{"a label that is too long", [][]byte{label(2), label(64), label(3)}, "xx"},
		{"a pointer", [][]byte{label(2), {0xc0, 1}, label(0xc0)}, "xx"},
		{"a label of 254 bytes", [][]byte{label(2), label(254), label(254)}, "xx"},
		{"a label of 255 bytes", [][]byte{label(255), label(255)}, ""},
		{"a label over the end", [][]byte{label(2), {3, 'y', 'y'}}, "xx"},
		{"a label without bytes", [][]byte{label(2), {1}}, "xx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fqdn := opt6(39, append([][]byte{{0}}, test.labels...)...)
			if r := Answer6(offer, query6(message6(requesting6, cid(), sid(), na(1), fqdn))); r.Reply == nil || r.HostName != test.want {
				t.Errorf("host name %q, want %q; %d bytes of reply", r.HostName, test.want, len(r.Reply))
			}
		})
	}
}

// TestStatusTexts checks that a refusal says why in both directions.
func TestStatusTexts(t *testing.T) {
	r := Answer6(newOffer6(t, mustProfile6(t, "bridge")), query6(message6(requesting6, cid(), sid(), na(1, wrong6))))
	const why = "the pod address is fd00:10:244:1::7"
	ia := reply6(t, r).Options.OneIANA()
	if s := ia.Options.Status(); s == nil || s.StatusCode != iana.StatusNotOnLink || s.StatusMessage != why {
		t.Errorf("status %v", s)
	}
	if r.Reason != "requested [fd00:10:244:9::9]: "+why {
		t.Errorf("why %q", r.Reason)
	}
}

func TestDUIDKind(t *testing.T) {
	for kind, duid := range map[string]DUID{"": nil, "LLT": {0, 1, 1}, "EN": {0, 2}, "LL": clientDUID, "UUID": otherDUID, "type 0": {0, 0}, "type 258": {1, 2}} {
		if got := duid.Kind(); got != kind {
			t.Errorf("%x is %q, want %q", []byte(duid), got, kind)
		}
	}
}
