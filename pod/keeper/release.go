package keeper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// The switch of a keeper that was killed ends by itself, but the next keeper may be faster: that waits for its sockets and devices for
// releaseTime before it gives up the address that it continues with.
const (
	releaseTime  = 2 * time.Second
	releasePause = 10 * time.Millisecond
)

// whenReleased returns the result of open. If continues is true, it tries again while another process has what is to be opened.
func whenReleased[T any](continues bool, open func() (T, error)) (opened T, err error) {
	for end := time.Now().Add(releaseTime); ; time.Sleep(releasePause) {
		opened, err = open()
		if !continues || !errors.Is(err, unixsocket.ErrHeld) && !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return opened, err
		}
	}
}
