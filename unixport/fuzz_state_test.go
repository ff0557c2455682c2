package unixport

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// FuzzState makes a port resume an arbitrary state. Resume must return an error and leave no descriptor open, or a port that has exactly
// this state.
func FuzzState(f *testing.F) {
	const listening, connected, bound, fixed = 0, 1, 2, 3
	for _, seed := range []struct {
		kind uint8
		text string
	}{
		{listening, `{}`}, {connected, `{}`}, {bound, `{}`}, {fixed, `{}`},
		{connected, `{"received":"AAAAPAEC","unsent":"AQID","begun":60}`}, {bound, `{"peer":"L3gA"}`}, {fixed, `{"peer":"L3gA"}`},
		{listening, `{"received":"AQ=="}`}, {listening, `{"unsent":"AQ==","begun":9}`}, {listening, `{"announced":true}`},
		{connected, `{"announced":true}`}, {connected, `{"peer":"L3gA"}`}, {connected, `{"begun":60}`}, {connected, `{"begun":-1,"unsent":"AQ=="}`},
		{connected, `{"begun":70000,"unsent":"AQ=="}`}, {connected, `{"begun":2,"unsent":"AQIDBAUGBwg="}`}, {bound, `{"received":"AQ=="}`},
		{bound, `{"begun":1}`}, {bound, `{"peer":"` + strings.Repeat("AAAA", 40) + `"}`}, {connected, `{"received":"` + strings.Repeat("AAAA", streamBuffer/3+1) + `"}`},
	} {
		f.Add(seed.kind, []byte(seed.text))
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		var rest handover.Socket
		if json.Unmarshal(text, &rest) != nil {
			return
		}
		before := openFiles(t)
		s := stateSocket(t, kind%4, folder)
		p, err := s.Resume(new(vswitch.Counters), Options{}, rest)
		if err == nil {
			if len(rest.Received) > streamBuffer || rest.Begun < 0 || rest.Begun > vswitch.MaxFrame || len(rest.Unsent) >= prefixLen+rest.Begun && len(rest.Unsent) > 0 ||
				len(rest.Peer) > unixsocket.MaxPath+1 || kind%4 != 2 && len(rest.Peer) > 0 || kind%4 != 1 && len(rest.Received)+len(rest.Unsent) > 0 {
				t.Errorf("kind %d goes on with %+v", kind%4, rest)
			}
			p.(vswitch.Interrupter).Interrupt()
			wantState(t, rest, p)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d descriptors are open, want %d", after, before)
		}
	})
}

// wantState expects the port to have the given state. Unsent bytes may have been sent meanwhile.
func wantState(t *testing.T, given handover.Socket, p vswitch.Port) {
	t.Helper()
	got, ok := StateOf(p)
	if !ok || !bytes.Equal(got.Received, given.Received) || !bytes.Equal(got.Peer, given.Peer) || !bytes.HasSuffix(given.Unsent, got.Unsent) {
		t.Errorf("have %+v, want %+v", got, given)
	}
}

// stateSocket creates a socket of one of the four kinds. Only the connected one has a peer.
func stateSocket(t *testing.T, kind uint8, folder string) Socket {
	t.Helper()
	if kind == 1 {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(pair[1])
		return Socket{FD: pair[0], Type: typeStream, Connected: true}
	}
	path := filepath.Join(folder, "s")
	open := func() (Socket, *File, error) { return Listen(path, -1) }
	if kind > 1 {
		remote := map[uint8]string{3: filepath.Join(folder, "remote")}[kind]
		open = func() (Socket, *File, error) { return Bind(path, remote, -1) }
	}
	s, file, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}
