package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/pod/control"
)

// TestPrintableWriter checks what of a text reaches a terminal.
func TestPrintableWriter(t *testing.T) {
	for text, want := range map[string]string{
		"two lines\n\tindented, ü 漢\n": "two lines\n\tindented, ü 漢\n",
		"\x1b[2J\x07\r":                `\u001b[2J\u0007\u000d`,
		"\u009b1m \u007f":              `\u009b1m \u007f`,
		"\u202eevil\u2066":             `\u202eevil\u2066`,
		"a\xffb":                       `a\ufffdb`,
		"\U000e0041":                   `\U000e0041`,
	} {
		var out bytes.Buffer
		if n, err := fmt.Fprint(printableWriter{&out}, text); err != nil || n != len(text) || out.String() != want {
			t.Errorf("%q became %q, %d, %v; want %q", text, out.String(), n, err, want)
		}
	}
}

// serveText serves one answer to every request at a socket.
func serveText(t *testing.T, code int, text string) (path string) {
	t.Helper()
	t.Chdir(t.TempDir()) // a short path: the directory of a temporary file may exceed the limit of a socket's
	path = "control.sock"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return path
}

// TestHostileStatus checks that a switch cannot control the terminal of an operator, nor add rows to a table.
func TestHostileStatus(t *testing.T) {
	evil := `\u001b]0;x\u0007\u009b2J\nholder   guest`
	status := fmt.Sprintf(`{"holder":"%[1]s","address":"%[1]s","gateway":"%[1]s","uplink":"up","sandbox":"%[1]s","version":"%[1]s","lease":{"mac":"02:00:00:00:00:01","hostname":"%[1]s"},
		"settings":{"method":"%[1]s","keep":["%[1]s"]},"neighbours":{"counts":{"%[1]s":1},"list":[]},"ports":[{"name":"%[1]s","kind":"%[1]s","state":"%[1]s","drops":{"%[1]s":1}}]}`, evil)
	stations := fmt.Sprintf(`[{"mac":"02:00:00:00:00:01","port":"%s"}]`, evil)
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"status":          {[]string{"status"}, http.StatusOK, status},
		"status in JSON":  {[]string{"status", "-o", "json"}, http.StatusOK, status},
		"fdb":             {[]string{"fdb"}, http.StatusOK, stations},
		"an error's text": {[]string{"status"}, http.StatusNotFound, "\x1b]0;x\x07\nholder   guest"},
		"a port's state":  {[]string{"status"}, http.StatusOK, `{"holder":"kernel","uplink":"\u001b[2J"}`},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, _ := do(t, "", append(c.args, "--control", serveText(t, c.code, c.text))...)
			if strings.ContainsAny(stdout+stderr, "\x1b\x07\u009b") || strings.Contains("\n"+stdout+stderr, "\nholder   guest") {
				t.Errorf("printed:\n%q\n%q", stdout, stderr)
			}
			if stdout+stderr == "" {
				t.Error("printed nothing")
			}
		})
	}
}

// TestEscapeTexts checks that every text of a status is reached.
func TestEscapeTexts(t *testing.T) {
	s := control.Status{Holder: "\x1b", Lease: &control.Lease{HostName: "\n"}, Ports: []control.Port{{Name: "\t", Drops: map[string]uint64{"\r": 3}}},
		Settings: &control.Settings{Keep: []string{"\x00"}}}
	escapeTexts(&s)
	if s.Holder != `\u001b` || s.Lease.HostName != `\u000a` || s.Ports[0].Name != `\u0009` || s.Ports[0].Drops[`\u000d`] != 3 || len(s.Ports[0].Drops) != 1 || s.Settings.Keep[0] != `\u0000` {
		t.Errorf("%+v", s)
	}
}
