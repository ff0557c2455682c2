package dhcpsrv

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// FuzzDHCP6 answers any message from three senders: the owner of the lease, another MAC, and another MAC after the owner has gone. Answer6
// does not panic and does not change the message; it answers neither relays nor servers; a reply can be read, fits the MTU, is for this
// client and transaction, and has no address but the pod's, for no longer than that is valid. Another MAC does not change the lease, and a
// RELEASE ends it only if it names all of its IAs.
func FuzzDHCP6(f *testing.F) {
	for _, r := range refused6() {
		f.Add(r.message)
	}
	for _, s := range seeds6() {
		f.Add(s.message)
	}
	for _, text := range filesOf(f, "../testdata/dhcp6/*.txt") {
		_, q, _ := readGolden6(f, string(text))
		f.Add(q.Message)
	}
	small := mustProfile6(f, "bridge+http+ending")
	small.MTU = minMTU6
	small.Search = append(small.Search, strings.Repeat("a", 60)+"."+strings.Repeat("b", 60)+".example")
	offers := []*Offer6{newOffer6(f, mustProfile6(f, "bridge+tftp")), newOffer6(f, small)}
	lease := boundTo(1, 2)
	stolen := boundTo(1, 2)
	stolen.MAC = otherMAC
	f.Fuzz(func(t *testing.T, message []byte) {
		given := slices.Clone(message)
		for _, offer := range offers {
			q := query6(message)
			for _, l := range []Lease6{{}, lease, stolen} {
				for _, gone := range []bool{false, true} {
					q.Lease, q.OwnerGone = l, gone
					r := Answer6(offer, q)
					checkReply6(t, offer, q, r)
					checkLease6(t, offer, q, r)
				}
			}
		}
		if !bytes.Equal(given, message) {
			t.Error("the message was changed")
		}
	})
}

// checkReply6 checks a reply against its message and the offer.
func checkReply6(t *testing.T, offer *Offer6, q Query6, r Result6) {
	t.Helper()
	if (r.Reply == nil) != (r.Sent == "") || r.Reply == nil && r.Reason == "" || r.Held && r.Reply != nil {
		t.Fatalf("sent %q with %d bytes, why %q", r.Sent, len(r.Reply), r.Reason)
	}
	if r.Reply == nil {
		return
	}
	var readable []byte
	for _, o := range parse6(t, r.Reply) {
		if o.code != 1 { // the client's own, which the library may refuse
			readable = append(readable, opt6(int(o.code), o.value)...)
		}
	}
	reply, err := dhcpv6.MessageFromBytes(append(slices.Clone(r.Reply[:4]), readable...))
	if err != nil {
		t.Fatalf("the reply cannot be read: %v: %x", err, r.Reply)
	}
	asked := parse6(t, q.Message)
	answered := map[byte]bool{1: true, 3: true, 4: true, 5: true, 6: true, 8: true, 9: true, 11: true}
	switch kind := q.Message[0]; {
	case !answered[kind]:
		t.Errorf("message type %d is answered", kind)
	case (reply.MessageType == dhcpv6.MessageTypeAdvertise) != (kind == 1 && len(reply.Options.Get(dhcpv6.OptionRapidCommit)) == 0):
		t.Errorf("%s to message type %d", reply.MessageType, kind)
	case !bytes.Equal(reply.TransactionID[:], q.Message[1:4]):
		t.Errorf("transaction %x, want %x", reply.TransactionID, q.Message[1:4])
	}
	server := append([]byte{0, 3, 0, 1}, offer.RouterMAC[:]...)
	if id := asked.first(2); id != nil && !bytes.Equal(id, server) {
		t.Errorf("a message for the server %x is answered", id)
	}
	if id := parse6(t, r.Reply).first(1); !bytes.Equal(id, asked.first(1)) || !bytes.Equal(parse6(t, r.Reply).first(2), server) {
		t.Errorf("client %x, want %x", id, asked.first(1))
	}
	if len(r.Reply) > offer.MTU-48 || r.To != netip.AddrPortFrom(q.From, 546) || r.ToMAC != q.MAC {
		t.Errorf("%d bytes to %s at %s", len(r.Reply), r.To, r.ToMAC)
	}
	checkOptions6(t, q, parse6(t, r.Reply), asked)
	for _, a := range reply.Options.IANA() {
		checkIA6(t, offer, q, a)
	}
}

// checkIA6 checks the addresses and the times of an IA in a reply.
func checkIA6(t *testing.T, offer *Offer6, q Query6, a *dhcpv6.OptIANA) {
	t.Helper()
	left := offer.Lease
	if !offer.Expires.IsZero() {
		left = offer.Expires.Sub(q.Now)
	}
	for _, address := range a.Options.Addresses() {
		ours := address.IPv6Addr.Equal(offer.Address.AsSlice())
		ended := address.ValidLifetime == 0 && (q.Message[0] == 5 || q.Message[0] == 6) && bytes.Contains(q.Message, address.IPv6Addr)
		if !ours && !ended {
			t.Errorf("the address %s for %s", address.IPv6Addr, address.ValidLifetime)
		}
		if address.ValidLifetime > left || address.PreferredLifetime > address.ValidLifetime || ours && (a.T1 > a.T2 || a.T2 > address.ValidLifetime) {
			t.Errorf("T1 %s, T2 %s, preferred %s, valid %s; the pod address ends in %s", a.T1, a.T2, address.PreferredLifetime, address.ValidLifetime, left)
		}
	}
	if len(a.Options.Addresses()) == 0 && a.Options.Status() == nil {
		t.Errorf("an IA with neither address nor status")
	}
}

// checkOptions6 checks which options a reply has: those of the protocol, 23 and 24, and others only if the client asks for them.
func checkOptions6(t *testing.T, q Query6, reply, asked options6) {
	t.Helper()
	requested := map[uint16]bool{23: true, 24: true}
	for _, o := range asked {
		for v := o.value; o.code == 6 && len(v) >= 2; v = v[2:] {
			requested[binary.BigEndian.Uint16(v)] = true
		}
	}
	for _, o := range reply {
		switch known := slices.Contains([]uint16{23, 24, 31, 56, 59, 60, 82, 83}, o.code); {
		case o.code == 14 && asked.first(14) == nil:
			t.Error("a rapid commit that nobody wants")
		case o.code == 32 && q.Message[0] != 11:
			t.Error("a refresh time for an address")
		case o.code == 7 && !bytes.Equal(o.value, []byte{255}):
			t.Errorf("preference %x", o.value)
		case known && !requested[o.code] || !known && !slices.Contains([]uint16{1, 2, 3, 4, 7, 13, 14, 16, 25, 32}, o.code):
			t.Errorf("option %d, which nobody wants", o.code)
		}
	}
}

// checkLease6 checks the lease after a message.
func checkLease6(t *testing.T, offer *Offer6, q Query6, r Result6) {
	t.Helper()
	unchanged := r.Lease.MAC == q.Lease.MAC && slices.Equal(r.Lease.IAIDs, q.Lease.IAIDs) && r.Lease.Expires.Equal(q.Lease.Expires)
	if owner := q.Lease.MAC; owner != (MAC{}) && owner != q.MAC && !q.OwnerGone && !unchanged {
		t.Errorf("another MAC made the lease %+v", r.Lease)
	}
	if r.Reply == nil && !unchanged || len(r.Lease.IAIDs) > 8 {
		t.Errorf("sent %q, lease %+v", r.Sent, r.Lease)
	}
	switch r.Change {
	case Bound:
		if r.Sent != MessageReply || r.Lease.MAC != q.MAC || len(r.Lease.IAIDs) == 0 || !offer.Expires.IsZero() && r.Lease.Expires.After(offer.Expires) {
			t.Errorf("sent %q, lease %+v of an address to %s", r.Sent, r.Lease, offer.Expires)
		}
	case Released, Declined:
		if kind := q.Message[0]; kind != 8 && kind != 9 || q.Lease.MAC != q.MAC || r.Lease.MAC != (MAC{}) {
			t.Errorf("message type %d ended the lease of %s, and left one of %s", kind, q.Lease.MAC, r.Lease.MAC)
		}
		asked := parse6(t, q.Message)
		for _, id := range q.Lease.IAIDs {
			if !slices.ContainsFunc(asked, func(o decodedOption6) bool { return o.code == 3 && binary.BigEndian.Uint32(o.value) == id }) {
				t.Errorf("%s without the IA %d", r.Received, id)
			}
		}
	}
}

type options6 []decodedOption6

// parse6 returns the options of a message.
func parse6(t *testing.T, message []byte) options6 {
	t.Helper()
	options, err := decodeOptions6(message[4:])
	if err != nil {
		t.Fatalf("a message that cannot be read: %v", err)
	}
	return options
}

// first returns the value of the first option with the code, or nil.
func (list options6) first(code uint16) []byte {
	for _, o := range list {
		if o.code == code {
			return o.value
		}
	}
	return nil
}

// seeds6 are messages that get an answer.
func seeds6() []abuse {
	all := make([]byte, 0, 256)
	for code := range 128 {
		all = append(all, byte(code))
	}
	var many []byte
	for id := range byte(40) {
		many = append(many, na(id, wrong6)...)
	}
	return []abuse{
		{name: "everything is requested", message: message6(solicit6, cid(), na(1), oro(all...))},
		{name: "information of everything", message: message6(inform6, cid(), oro(all...))},
		{name: "rapid commit", message: message6(solicit6, cid(), opt6(14), na(1), pd(1), ta(1))},
		{name: "a rapid commit with a value", message: message6(solicit6, cid(), opt6(14, []byte{1}), na(1))},
		{name: "the longest identifier, and more IAs than fit", message: message6(renew6, opt6(1, make([]byte, 130)), sid(), many)},
		{name: "one IA with many addresses", message: message6(rebind6, cid(), na(1, slices.Repeat([]netip.Addr{wrong6}, 60)...))},
		{name: "release of both", message: message6(release6, cid(), sid(), na(1, podAddress6), na(2, podAddress6))},
		{name: "release of one", message: message6(release6, cid(), sid(), na(1, podAddress6))},
		{name: "release of one, twice", message: message6(release6, cid(), sid(), na(1, podAddress6), na(1, podAddress6))},
		{name: "decline of one", message: message6(decline6, cid(), sid(), na(2, podAddress6))},
		{name: "options of length 0", message: message6(solicit6, cid(), na(1), opt6(6), opt6(7), opt6(8), opt6(15), opt6(16), opt6(39), opt6(61), opt6(62))},
		{name: "an odd option request", message: message6(solicit6, cid(), na(1), opt6(6, []byte{0, 23, 0}))},
		{name: "classes over their ends", message: message6(solicit6, cid(), na(1), opt6(15, []byte{0, 9, 'i'}), opt6(16, []byte{0, 0, 1, 87, 255, 255}))},
		{name: "a name over its end", message: message6(requesting6, cid(), sid(), na(1), opt6(39, []byte{0, 63, 'x'}))},
		{name: "a label of 255 bytes", message: message6(requesting6, cid(), sid(), na(1), opt6(39, []byte{0, 255}, bytes.Repeat([]byte{'x'}, 300)))},
		{name: "a name for a log", message: message6(requesting6, cid(), sid(), na(1), opt6(39, []byte{0, 4, 0x1b, '[', '3', '1', 1, '\n'}))},
		{name: "an identifier with half of a UUID", message: message6(inform6, opt6(1, otherDUID[:10]))},
		{name: "HTTP Boot", message: message6(solicit6, cid(), na(1), oro(59), opt6(16, []byte{0, 0, 1, 87, 0, 10}, []byte("HTTPClient")))},
	}
}

// TestSeeds6 checks that every seed of seeds6 gets an answer.
func TestSeeds6(t *testing.T) {
	offer := newOffer6(t, mustProfile6(t, "bridge"))
	for _, s := range seeds6() {
		q := query6(s.message)
		q.Lease = Lease6{MAC: guestMAC, DUID: clientDUID, IAIDs: []uint32{1, 2}, Expires: testNow.Add(time.Hour)}
		if r := Answer6(offer, q); r.Reply == nil {
			t.Errorf("%s: no answer: %s", s.name, r.Reason)
		}
	}
}
