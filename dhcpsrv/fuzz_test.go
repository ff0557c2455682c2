package dhcpsrv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzDHCP answers any message, and valid messages with edited fields and options. Answer does not panic and does not change the
// message; the lease of an owner that is present stays; a reply is well-formed, is addressed to the client, and has no values but those
// of the offer. No lease is longer than the address.
func FuzzDHCP(f *testing.F) {
	for _, a := range abuses() {
		f.Add(a.message, []byte{}, false)
	}
	for _, s := range validSeeds() {
		for _, edits := range editSeeds() {
			f.Add(s.message, edits.edits, false)
		}
		f.Add(s.message, []byte{}, true)
	}
	for _, message := range goldenMessages(f) {
		f.Add(message, []byte{}, false)
	}
	for _, message := range capturedMessages(f) {
		f.Add(message, []byte{}, false)
		f.Add(message, []byte{2, 53, byte(requesting)}, false)
	}
	offer := newOffer(f, mustProfile(f, "flannel+boot"))
	wide := mustProfile(f, "flannel")
	for n := range 80 { // more bytes than one instance of an option holds
		wide.Routes = append(wide.Routes, route(fmt.Sprintf("10.%d.0.0/16 via 10.244.1.1", n)))
	}
	wide.Expires, wide.Deprecated = testNow.Add(100*time.Second), testNow.Add(50*time.Second)
	manyRoutes, _, err := NewOffer(wide)
	if err != nil {
		f.Fatal(err)
	}
	lease := Lease{MAC: otherMAC, Expires: testNow.Add(time.Minute)}
	f.Fuzz(func(t *testing.T, message, edits []byte, gone bool) {
		message = edit(message, edits)
		given := slices.Clone(message)
		r := Answer(offer, Query{Message: message, Lease: lease, OwnerGone: gone, Now: testNow})
		if !bytes.Equal(given, message) {
			t.Error("the message was changed")
		}
		checkReply(t, offer, r)
		checkExchange(t, offer, message, r)
		r = Answer(manyRoutes, Query{Message: message, Lease: lease, OwnerGone: gone, Now: testNow})
		checkReply(t, manyRoutes, r)
		if r.Change == Bound && !r.Lease.Expires.Equal(wide.Expires) {
			t.Errorf("the lease ends at %s, and the address at %s", r.Lease.Expires, wide.Expires)
		}
		owner := len(message) >= 34 && MAC(message[28:34]) == otherMAC
		if r.Lease != lease && !owner && !gone {
			t.Errorf("another MAC made the lease %v", r.Lease)
		}
	})
}

// checkExchange checks a reply against its message and the offer.
func checkExchange(t *testing.T, offer *Offer, message []byte, r Result) {
	t.Helper()
	if r.Reply == nil {
		return
	}
	reply, err := decode(r.Reply)
	if err != nil {
		t.Fatal(err)
	}
	if h := reply.header[:]; !bytes.Equal(h[4:8], message[4:8]) || !bytes.Equal(h[28:44], append(bytes.Clone(message[28:34]), make([]byte, 10)...)) || h[10]&0x80 != message[10]&0x80 {
		t.Errorf("the reply is to another message: %x, asked %x", h[:44], message[:44])
	}
	asked, err := dhcpv4.FromBytes(message)
	if err != nil {
		t.Fatalf("a message that is none was answered: %v", err)
	}
	if v := asked.Options[52]; len(v) == 1 {
		for flag, field := range [][]byte{1: message[108:236], 2: message[44:108]} {
			if int(v[0])&flag != 0 && len(field) > 0 && asked.Options.FromBytes(field) != nil {
				t.Error("a malformed field with options was answered")
			}
		}
	}
	said := 0
	if v := asked.Options[57]; len(v) == 2 {
		said = int(binary.BigEndian.Uint16(v))
	}
	if limit := max(576, min(said, offer.MTU)) - 28; len(r.Reply) > limit {
		t.Errorf("%d bytes of reply, want at most %d", len(r.Reply), limit)
	}
	everyone := MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	broadcast := r.To.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if r.To.Port() != 68 || broadcast != (r.ToMAC == everyone) || !broadcast && (r.To.Addr() != offer.Address.Addr() || r.ToMAC != MAC(message[28:34])) {
		t.Errorf("the reply goes to %s at %s", r.To, r.ToMAC)
	}
	pod, ciaddr := net.IP(offer.Address.Addr().AsSlice()), asked.ClientIPAddr
	wanted, chosen := net.IP(asked.Options[50]), net.IP(asked.Options[54])
	if request := asked.MessageType() == requesting; request && r.Sent == MessageAck && (len(wanted) > 0 && !wanted.Equal(pod) ||
		len(wanted) == 0 && !ciaddr.Equal(pod) || len(chosen) > 0 && !chosen.Equal(offer.Server.AsSlice())) {
		t.Errorf("an ACK for a client that wants %s or has %s, from %s", wanted, ciaddr, chosen)
	}
	checkOptions(t, offer, asked, &reply)
}

// checkOptions checks that every option has the value of the offer, or the one that the client sent.
func checkOptions(t *testing.T, offer *Offer, asked *dhcpv4.DHCPv4, reply *decoded) {
	t.Helper()
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-offer.Address.Bits()))
	want := map[uint8][]byte{1: mask, 3: offer.Gateway.AsSlice(), 6: offer.NameServers[0].AsSlice(), 12: []byte(offer.HostName),
		15: []byte(offer.Domain), 26: binary.BigEndian.AppendUint16(nil, uint16(offer.MTU)), 28: {10, 244, 1, 255},
		51: {0, 0, 14, 16}, 54: offer.Server.AsSlice(), 58: {0, 0, 7, 8}, 59: {0, 0, 12, 78}, 61: asked.Options[61],
		66: []byte(offer.TFTPServerName), 67: []byte(offer.BootFileName), 224: []byte("blue"), 230: []byte("rack 7")}
	const routes = "0.0.0.0/0 via 10.244.1.1; 10.244.0.0/16 via 10.244.1.1"
	seen := map[uint8]bool{}
	for _, o := range reply.options {
		if seen[o.code] {
			t.Errorf("option %d twice", o.code)
		}
		seen[o.code] = true
		switch o.code {
		case 42, 53, 56:
		case 119:
			if got := domains(o.value); got != strings.Join(offer.Search, " ") {
				t.Errorf("search domains %q", got)
			}
		case 121, 249:
			if got := routeList(o.value); got != routes && got != routes[:24] {
				t.Errorf("routes %q", got)
			}
		default:
			if !bytes.Equal(o.value, want[o.code]) {
				t.Errorf("option %d is %x, want %x", o.code, o.value, want[o.code])
			}
		}
	}
}

// edit changes a parsable message: each 3 bytes are an operation, its position and a value. It does not change a message
// without options.
func edit(message, edits []byte) []byte {
	const optionsAt = 240
	if len(message) < optionsAt {
		return message
	}
	message = bytes.Clone(message)
	for ; len(edits) >= 3 && len(message) >= optionsAt; edits = edits[3:] {
		what, which, value := edits[0], int(edits[1]), edits[2]
		switch what % 5 {
		case 0: // a byte of the fixed part
			message[which%236] = value
		case 1: // an option before all others, of the length value
			option := append([]byte{byte(which), value}, bytes.Repeat([]byte{value}, int(value))...)
			message = slices.Insert(message, optionsAt, option...)
		case 2: // the value of an option
			if at := findOption(message, byte(which)); at > 0 && message[at+1] > 0 {
				message[at+2+int(what/5)%int(message[at+1])] = value
			}
		case 3: // no such option
			if at := findOption(message, byte(which)); at > 0 {
				message = slices.Delete(message, at, at+2+int(message[at+1]))
			}
		case 4: // the length of an option lies
			if at := findOption(message, byte(which)); at > 0 {
				message[at+1] = value
			}
		}
	}
	return message
}

// findOption returns the offset of an option within the message, or 0.
func findOption(message []byte, code byte) int {
	for i := 240; i+1 < len(message) && message[i] != 255; {
		switch next := i + 2 + int(message[i+1]); {
		case message[i] == 0:
			i++
		case next > len(message):
			return 0
		case message[i] == code:
			return i
		default:
			i = next
		}
	}
	return 0
}

// A validSeed is a message that gets an answer or ends a lease.
type validSeed struct {
	name    string
	message []byte
}

func validSeeds() []validSeed {
	return []validSeed{
		{"every option twice: the library joins them", withOptions(53, 1, 1, 61, 1, 1, 61, 1, 2, 55, 2, 3, 1, 55, 1, 249, 57, 2, 2, 64, 255)},
		{"asks for all codes, 0 and 255 among them", message(discover, raw(55, allCodes()...), size(1450))},
		{"overload of both fields", overloaded(3, []byte{55, 3, 1, 121, 3, 57, 2, 3, 0, 255}, []byte{55, 1, 6, 61, 3, 1, 2, 3, 255})},
		{"takes less than BOOTP", message(discover, raw(55, allCodes()...), size(1))},
		{"the largest identifier leaves little room", message(discover, raw(61, make([]byte, 255)...), raw(55, 121, 249))},
		{"search domains that point to themselves", message(discover, raw(119, 0xc0, 0, 3, 'a', 'b', 'c', 0xc0, 2))},
		{"selecting", message(requesting, asks("10.244.1.7"), server("10.244.1.1"))},
		{"renewing by broadcast", message(requesting, ciaddr("10.244.1.7"), dhcpv4.WithBroadcast(true))},
		{"asks for another address", message(requesting, asks("10.0.0.9"), raw(61, make([]byte, 255)...))},
		{"asks for nothing", message(requesting)},
		{"renews another address, and asks for ours", message(requesting, ciaddr("10.0.0.9"), asks("10.244.1.7"))},
		{"asks for 0.0.0.0", message(requesting, asks("0.0.0.0"))},
		{"informs", message(inform, ciaddr("10.244.1.7"))},
		{"the owner asks again", message(requesting, asks("10.244.1.7"), mac(otherMAC), raw(12, []byte("vm-1")...))},
		{"the owner releases", message(release, ciaddr("10.244.1.7"), mac(otherMAC))},
		{"the owner releases another address", message(release, ciaddr("10.0.0.9"), mac(otherMAC))},
		{"the owner declines", message(decline, asks("10.244.1.7"), mac(otherMAC))},
		{"the owner declines another address", message(decline, asks("10.0.0.9"), mac(otherMAC))},
		{"the owner declines nothing", message(decline, mac(otherMAC))},
		{"to another server", message(requesting, asks("10.244.1.7"), server("10.0.0.1"))},
		{"a release to another server", message(release, ciaddr("10.244.1.7"), server("10.0.0.1"), mac(otherMAC))},
		{"a decline to another server", message(decline, asks("10.244.1.7"), server("10.0.0.1"), mac(otherMAC))},
		{"a host name for a log", message(requesting, asks("10.244.1.7"), mac(otherMAC), raw(12, []byte("\x1b[31m\x00\n")...))},
	}
}

// An editSeed is an edit that crashed other servers, or that changes the request.
type editSeed struct {
	name  string
	edits []byte
}

func editSeeds() []editSeed {
	return []editSeed{
		{"none", nil},
		{"option overload: the fields sname and file are options", []byte{1, 52, 1}},
		{"padding before the options", []byte{1, 0, 0, 1, 0, 0}},
		{"an end before the options", []byte{1, 255, 0}},
		{"relayed", []byte{0, 24, 10}},
		{"another hardware address behind six bytes", []byte{0, 34, 1}},
		{"an option beyond the end", []byte{4, 53, 200}},
		{"a server identifier of 4 equal bytes", []byte{1, 54, 4}},
		{"no message type: BOOTP", []byte{3, 53, 0}},
	}
}

// goldenMessages returns the requests of the golden pairs, which are recorded ones of clients, or derived from those.
func goldenMessages(f *testing.F) (messages [][]byte) {
	for _, text := range filesOf(f, "../testdata/dhcp/*.txt") {
		_, rest, _ := strings.Cut(string(text), "-- request --\n")
		request, _, _ := strings.Cut(rest, "\n-- ")
		messages = append(messages, readHex(f, request))
	}
	return messages
}

// capturedMessages returns the messages of DHCP clients in a capture of tcpdump: a header of 24 bytes, and before each
// frame one of 16 that has its length (draft-ietf-opsawg-pcap, sections 4 and 5).
func capturedMessages(f *testing.F) (messages [][]byte) {
	const headers, clientPort, serverPort = 14 + 20 + 8, 68, 67
	for _, file := range filesOf(f, "../fuzz/testdata/captures/*.pcap") {
		for file = file[24:]; len(file) > 16; {
			n := int(binary.LittleEndian.Uint32(file[8:]))
			frame := file[16:][:n]
			file = file[16+n:]
			if n > headers && frame[12] == 8 && frame[14] == 0x45 && frame[23] == 17 && frame[35] == clientPort && frame[37] == serverPort {
				messages = append(messages, frame[headers:])
			}
		}
	}
	if len(messages) < 4 {
		f.Fatalf("%d captured messages: want those of three clients and a guest", len(messages))
	}
	return messages
}

// filesOf reads the files that match a pattern, and fails if there are none.
func filesOf(f *testing.F, pattern string) (files [][]byte) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		f.Fatalf("%s: no files (%v)", pattern, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, text)
	}
	return files
}

func allCodes() (codes []byte) {
	for code := range 256 {
		codes = append(codes, byte(code))
	}
	return codes
}
