package dhcpsrv

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// An abuse is an invalid message, with the beginning of the Reason why it gets no answer.
type abuse struct {
	name    string
	message []byte
	why     string
}

// patched returns a DISCOVER with bytes replaced from an offset on.
func patched(offset int, b ...byte) []byte {
	m := message(discover)
	copy(m[offset:], b)
	return m
}

// withOptions returns a fixed part with these options.
func withOptions(options ...byte) []byte { return append(message(discover)[:240:240], options...) }

// abuses is the table of hostile messages, which are also seeds of the fuzz target.
func abuses() []abuse {
	return []abuse{
		{"empty", nil, "truncated: 0 bytes"},
		{"one byte", []byte{1}, "truncated: 1 bytes"},
		{"no cookie", message(discover)[:236], "truncated: 236 bytes"},
		{"half a cookie", message(discover)[:239], "truncated: 239 bytes"},
		{"no options", message(discover)[:240], "BOOTP: no message type"},
		{"wrong cookie", patched(236, 0x63, 0x82, 0x53, 0x64), "malformed: "},
		{"no end mark", withOptions(53, 1, 1), "malformed: "},
		{"only padding", withOptions(make([]byte, 60)...), "malformed: "},
		{"code without length", withOptions(53, 1, 1, 61), "malformed: "},
		{"option over the end", withOptions(53, 1, 1, 61, 200, 1), "malformed: "},
		{"end mark inside an option", withOptions(53, 1, 1, 61, 9, 255), "malformed: "},
		{"2 KiB", append(message(discover), make([]byte, 2000)...), "too long: 2300 bytes"},
		{"64 KiB of options", withOptions(bytes.Repeat([]byte{61, 1, 1}, 21000)...), "too long: "},
		{"a reply", patched(0, 2), "a reply, not a request"},
		{"op 0", patched(0, 0), "a reply, not a request"},
		{"token ring", patched(1, 6), "hardware type 6"},
		{"hlen 0", patched(2, 0), "hardware type 1 with 0 bytes"},
		{"hlen 16", patched(2, 16), "hardware type 1 with 16 bytes"},
		{"hlen 255", patched(2, 255), "hardware type 1 with 16 bytes"},
		{"relayed", message(discover, dhcpv4.WithGatewayIP(net.IPv4(10, 0, 0, 1))), "relayed by 10.0.0.1"},
		{"zero MAC", message(discover, mac(MAC{})), "client MAC 00:00:00:00:00:00"},
		{"broadcast MAC", message(discover, mac(MAC{255, 255, 255, 255, 255, 255})), "client MAC ff:"},
		{"multicast MAC", message(discover, mac(MAC{1, 0, 0x5e})), "client MAC 01:"},
		{"BOOTP", message(dhcpv4.MessageTypeNone), "BOOTP: no message type"},
		{"empty message type", message(discover, raw(53)), "malformed: option 53 has 0 bytes"},
		{"two message types", withOptions(53, 1, 1, 53, 1, 3, 255), "malformed: option 53 has 2 bytes"},
		{"message type 0", message(discover, raw(53, 0)), "message type 0: clients"},
		{"message type 255", message(discover, raw(53, 255)), "message type 255: clients"},
		{"OFFER", message(dhcpv4.MessageTypeOffer), "message type 2: clients"},
		{"ACK", message(dhcpv4.MessageTypeAck), "message type 5: clients"},
		{"NAK", message(dhcpv4.MessageTypeNak), "message type 6: clients"},
		{"overload without a value", message(discover, raw(52)), "malformed: option 52 is , want"},
		{"overload of nothing", message(discover, raw(52, 0)), "malformed: option 52 is 00, want"},
		{"overload of another field", message(discover, raw(52, 4)), "malformed: option 52 is 04, want"},
		{"overload of 2 bytes", message(discover, raw(52, 1, 1)), "malformed: option 52 is 0101, want"},
		{"overload over the end of file", overloaded(1, []byte{12, 200}, nil), "malformed: options in the field file"},
		{"overload over the end of sname", overloaded(2, nil, []byte{12, 63}), "malformed: options in the field sname"},
		{"message type in two places", overloaded(1, []byte{53, 1, 3}, nil), "malformed: option 53 has 2 bytes"},
		{"short option 50", message(requesting, raw(50, 10, 244, 1)), "malformed: option 50 has 3 bytes"},
		{"empty option 50", message(requesting, raw(50)), "malformed: option 50 has 0 bytes"},
		{"option 50 twice", message(requesting, raw(50, 10, 244, 1, 7, 10, 244, 1, 7)), "malformed: option 50 has 8 bytes"},
		{"long option 54", message(requesting, raw(54, 1, 2, 3, 4, 5)), "malformed: option 54 has 5 bytes"},
		{"long client identifier", message(discover, raw(61, make([]byte, 256)...)), "malformed: option 61 has 256 bytes"},
		{"release without lease", message(release, ciaddr("10.244.1.7")), "RELEASE from 52:54:00:12:34:56"},
		{"decline without lease", message(decline, asks("10.244.1.7")), "DECLINE from 52:54:00:12:34:56"},
		{"inform without address", message(inform), "INFORM for 0.0.0.0"},
		{"inform of broadcast", message(inform, ciaddr("255.255.255.255")), "INFORM for 255.255.255.255"},
	}
}

func TestAbuse(t *testing.T) {
	offer := newOffer(t, mustProfile(t, "flannel"))
	for _, test := range abuses() {
		t.Run(test.name, func(t *testing.T) {
			given := slices.Clone(test.message)
			r := Answer(offer, Query{Message: test.message, Now: testNow})
			if r.Reply != nil || r.Change != Unchanged || !strings.HasPrefix(r.Reason, test.why) {
				t.Errorf("sent %q, change %s, why %q, want %q", r.Sent, r.Change, r.Reason, test.why)
			}
			if !bytes.Equal(given, test.message) {
				t.Error("the message was changed")
			}
		})
	}
}

// TestForeignOffer checks that an Offer which is not from NewOffer gets no reply.
func TestForeignOffer(t *testing.T) {
	if r := Answer(&Offer{}, Query{Message: message(discover)}); r.Reply != nil || r.Reason == "" {
		t.Errorf("sent %q, why %q", r.Sent, r.Reason)
	}
}

// TestHostNamesArePrintable checks that a host name of any bytes is safe to log.
func TestHostNamesArePrintable(t *testing.T) {
	for given, want := range map[string]string{
		"vm\x00\x00": "vm", "a\nb c\x1b[31m": "a?b?c?[31m", "b\xfccher": "b?cher", "": "",
		strings.Repeat("x", 300): strings.Repeat("x", 253),
	} {
		if got := cleanHostName([]byte(given)); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}
