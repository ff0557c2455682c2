package dhcpsrv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Golden pairs of DHCPv6: each file of ../testdata/dhcp6 has a message and its answer, in the form of golden_test.go. Its lines are
//
//	offer bridge+http                                       a profile of profiles6_test.go
//	from fe80::5054:ff:fe12:3456 52:54:00:12:34:56          the source of packet and frame; this one if the line is absent
//	lease 52:54:00:12:34:56 10m 00030001525400123456 1 2    owner, time to expiry, DUID and IAIDs in hex; none if absent
//	gone                                                    the owner no longer answers
//
// and "go test ./dhcpsrv -run Golden6 -update" writes the rest.

func TestGolden6(t *testing.T) {
	files, err := filepath.Glob("../testdata/dhcp6/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden pairs in ../testdata/dhcp6 (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, query, offer := readGolden6(t, string(text))
			got := input + answerText6(t, query.Message, Answer6(offer, query))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("the answer differs (-file +code):\n%s", diff)
			}
		})
	}
}

// readGolden6 parses the hand-written part, and returns it with the query and the offer.
func readGolden6(t testing.TB, text string) (input string, q Query6, o *Offer6) {
	t.Helper()
	head, rest, ok := strings.Cut(text, "-- request --\n")
	if !ok {
		t.Fatal(`no line "-- request --"`)
	}
	request, _, _ := strings.Cut(rest, "\n-- ")
	request = strings.TrimRight(request, "\n") + "\n"
	q = query6(readHex(t, request))
	for line := range strings.Lines(head) {
		switch words := strings.Fields(line); {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "offer" && len(words) == 2:
			o = newOffer6(t, mustProfile6(t, words[1]))
		case words[0] == "from" && len(words) == 3:
			q.From = netip.MustParseAddr(words[1])
			if err := q.MAC.UnmarshalText([]byte(words[2])); err != nil {
				t.Fatal(err)
			}
		case words[0] == "lease" && len(words) >= 5:
			l := readLease(t, words[1], words[2])
			q.Lease = Lease6{MAC: l.MAC, HostName: l.HostName, Expires: l.Expires, DUID: readHex(t, words[3])}
			for _, word := range words[4:] {
				q.Lease.IAIDs = append(q.Lease.IAIDs, binary.BigEndian.Uint32(readHex(t, fmt.Sprintf("%08s", word))))
			}
		case words[0] == "gone" && len(words) == 1:
			q.OwnerGone = true
		default:
			t.Fatalf("line %q: want offer PROFILE, from ADDRESS MAC, lease MAC DURATION DUID IAID..., gone or a comment", line)
		}
	}
	if o == nil {
		t.Fatal(`no line "offer PROFILE"`)
	}
	return head + "-- request --\n" + request, q, o
}

// answerText6 returns the sections after the request.
func answerText6(t *testing.T, request []byte, r Result6) string {
	t.Helper()
	var b strings.Builder
	text, err := decode6(request)
	if err != nil {
		text = err.Error() + "\n"
	}
	fmt.Fprintf(&b, "-- request decoded --\n%s", text)
	fmt.Fprintf(&b, "-- result --\nreceived %q, sent %q, lease %s\n", r.Received, r.Sent, r.Change)
	if l := r.Lease; l.MAC != (MAC{}) {
		fmt.Fprintf(&b, "%s %q has the address for %s: %s %x, IAIDs %08x\n", l.MAC, l.HostName, l.Expires.Sub(testNow), l.DUID.Kind(), []byte(l.DUID), l.IAIDs)
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, "why: %s\n", r.Reason)
	}
	if r.Reply == nil {
		return b.String()
	}
	if text, err = decode6(r.Reply); err != nil {
		t.Fatalf("the reply is malformed: %v", err)
	}
	fmt.Fprintf(&b, "to %s at %s\n-- reply decoded --\n%s-- reply --\n%s", r.To, r.ToMAC, text, writeHex(r.Reply))
	return b.String()
}

// query6 returns a query from the guest.
func query6(message []byte) Query6 {
	return Query6{Message: message, MAC: guestMAC, From: guestLL, To: AllServers(), Now: testNow}
}
