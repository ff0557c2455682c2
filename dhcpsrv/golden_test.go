package dhcpsrv

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Golden pairs: each file of ../testdata/dhcp has a message and its answer. To add one, write
//
//	# What this client does, and why the answer is right.
//	offer flannel
//	lease 52:54:00:aa:bb:cc 10m
//	gone
//	-- request --
//	01 01 06 00  # hex bytes; a comment up to the end of the line
//	00*16        # a byte, 16 times
//
// and run "go test ./dhcpsrv -run Golden -update", which appends the answer. "lease" (the owner of the address, and
// the time to expiry) and "gone" (that MAC no longer answers) may be absent. Offers are the profiles of
// profiles_test.go. Check the result of -update by hand before you commit it.

var update = flag.Bool("update", false, "write what the code answers into ../testdata/dhcp")

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../testdata/dhcp/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden pairs in ../testdata/dhcp (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, query, offer := readGolden(t, string(text))
			got := input + answerText(t, query.Message, Answer(offer, query))
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

// readGolden parses the hand-written part, and returns it with the query and the offer.
func readGolden(t *testing.T, text string) (input string, q Query, o *Offer) {
	t.Helper()
	head, rest, ok := strings.Cut(text, "-- request --\n")
	if !ok {
		t.Fatal(`no line "-- request --"`)
	}
	request, _, _ := strings.Cut(rest, "\n-- ")
	request = strings.TrimRight(request, "\n") + "\n"
	q = Query{Message: readHex(t, request), Now: testNow}
	for line := range strings.Lines(head) {
		switch words := strings.Fields(line); {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "offer" && len(words) == 2:
			o = newOffer(t, mustProfile(t, words[1]))
		case words[0] == "lease" && len(words) == 3:
			q.Lease = readLease(t, words[1], words[2])
		case words[0] == "gone" && len(words) == 1:
			q.OwnerGone = true
		default:
			t.Fatalf("line %q: want offer PROFILE, lease MAC DURATION, gone or a comment", line)
		}
	}
	if o == nil {
		t.Fatal(`no line "offer PROFILE"`)
	}
	return head + "-- request --\n" + request, q, o
}

func readLease(t testing.TB, mac, left string) Lease {
	t.Helper()
	var m MAC
	if n, err := hex.Decode(m[:], []byte(strings.ReplaceAll(mac, ":", ""))); err != nil || n != len(m) {
		t.Fatalf("lease %s: %v", mac, err)
	}
	d, err := time.ParseDuration(left)
	if err != nil {
		t.Fatal(err)
	}
	return Lease{MAC: m, HostName: "before", Expires: testNow.Add(d)}
}

// readHex parses lines such as "01 ff 00*16 # comment".
func readHex(t testing.TB, text string) (message []byte) {
	t.Helper()
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			digits, times, repeated := strings.Cut(word, "*")
			b, err := hex.DecodeString(digits)
			n := 1
			if err == nil && repeated {
				n, err = strconv.Atoi(times)
			}
			if err != nil {
				t.Fatalf("hex %q: %v", word, err)
			}
			message = append(message, bytes.Repeat(b, n)...)
		}
	}
	return message
}

// answerText returns the sections after the request.
func answerText(t *testing.T, request []byte, r Result) string {
	t.Helper()
	var b strings.Builder
	if d, err := decode(request); err == nil {
		fmt.Fprintf(&b, "-- request decoded --\n%s", d.lines())
	} else {
		fmt.Fprintf(&b, "-- request decoded --\n%v\n", err)
	}
	fmt.Fprintf(&b, "-- result --\nreceived %q, sent %q, lease %s\n", r.Received, r.Sent, r.Change)
	if r.Lease.MAC != (MAC{}) {
		fmt.Fprintf(&b, "%s %q has the address for %s\n", r.Lease.MAC, r.Lease.HostName, r.Lease.Expires.Sub(testNow))
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, "why: %s\n", r.Reason)
	}
	if r.Reply == nil {
		return b.String()
	}
	d, err := decode(r.Reply)
	if err != nil {
		t.Fatalf("the reply is malformed: %v", err)
	}
	fmt.Fprintf(&b, "to %s at %s\n-- reply decoded --\n%s-- reply --\n%s", r.To, r.ToMAC, d.lines(), writeHex(r.Reply))
	return b.String()
}

// writeHex writes 16 bytes in a line, and runs of more than 16 equal bytes as one word.
func writeHex(message []byte) string {
	var b strings.Builder
	column := 0
	for i := 0; i < len(message); {
		run := 1
		for i+run < len(message) && message[i+run] == message[i] {
			run++
		}
		word := fmt.Sprintf("%02x", message[i])
		if run < 16 {
			run = 1
		} else {
			word += fmt.Sprintf("*%d", run)
		}
		i += run
		if column++; column%16 == 0 || run > 1 || i == len(message) {
			column = 0
			word += "\n"
		} else {
			word += " "
		}
		b.WriteString(word)
	}
	return b.String()
}
