package dataplane

import (
	"net"
	"os"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
)

// TestMergingOfAGrant checks that ports merge what the grant allows.
func TestMergingOfAGrant(t *testing.T) {
	for _, test := range []struct {
		noMerge, noMergeUDP bool
		want                tap.Merging
	}{
		{false, false, tap.MergeDatagrams}, {false, true, tap.MergeSegments}, {true, false, tap.MergeNothing}, {true, true, tap.MergeNothing},
	} {
		d := newPod(t, nil)
		g := d.grant()
		g.NoMerge, g.NoMergeUDP = test.noMerge, test.noMergeUDP
		ends := connected(t)
		keeper, theirs := grant.NewConn(ends[0]), grant.NewConn(ends[1])
		socket, err := d.control.File()
		if err != nil {
			t.Fatal(err)
		}
		if err := keeper.Send(grant.Message{Grant: g}, int(socket.Fd())); err != nil {
			t.Fatal(err)
		}
		s, _, control, err := newSession(t.Context(), &Config{Conn: theirs, Log: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		if s.merge != test.want {
			t.Errorf("%+v: ports merge %d, want %d", test, s.merge, test.want)
		}
		keeper.Close()
		<-s.ended
		theirs.Close()
		control.Close()
		socket.Close()
	}
}

// connected returns two connected unix sockets.
func connected(t *testing.T) (ends []*net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "an end")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, c.(*net.UnixConn))
	}
	return ends
}
