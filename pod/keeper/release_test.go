package keeper

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/unixport"
)

// TestContinuesAfterTheLastSwitch: a keeper that continues waits for what the switch of the keeper before it still has. Another keeper does not.
func TestContinuesAfterTheLastSwitch(t *testing.T) {
	for _, continues := range []bool{true, false} {
		dir := t.TempDir()
		cfg := configOf(dir)
		control, err := unixsocket.Listen(controlSpec(&cfg))
		if err != nil {
			t.Fatal(err)
		}
		guest := hypervisor.Attachment{Kind: hypervisor.KindDgram, Name: filepath.Join(dir, "a")}
		socket, file, err := unixport.Bind(guest.Name, "", -1)
		if err != nil {
			t.Fatal(err)
		}
		control.SetUnlinkOnClose(false) // like a process that is killed
		ended := make(chan error, 1)
		time.AfterFunc(100*time.Millisecond, func() {
			_ = control.UnixListener.Close()
			time.AfterFunc(100*time.Millisecond, func() { ended <- unix.Close(socket.FD) })
		})
		ctx, cancel := context.WithCancel(t.Context())
		r := &resources{cfg: &cfg, ctx: ctx, cancel: cancel}
		if continues {
			r.adopted = new(podnet.Taken)
		}
		err = r.openAll(portSpec{name: "guest", spec: guest, owner: -1, guest: true})
		if continues && err != nil || !continues && !errors.Is(err, unixsocket.ErrHeld) {
			t.Errorf("continues %t: %v", continues, err)
		}
		if err := errors.Join(within(t, "the end of the switch", ended), r.close(), file.Close()); err != nil {
			t.Error(err)
		}
	}
}
