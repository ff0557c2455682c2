package keeper

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
)

// The messages of a keeper to its watchdog are single bytes.
const (
	watchUplink = 'u' // with the descriptor of the uplink's socket, in place of the one before
	watchEgress = 'x' // with that of the tap of the pod's own processes, likewise
	watchEnd    = 'e' // the keeper closes its end itself: it was not killed
	watchPause  = 'p' // likewise, and leaves the address taken
)

// An End is how a keeper has ended, as its watchdog sees it.
type End uint8

// The ends.
const (
	EndKilled  End = iota // unasked
	EndRegular            // it has given the address back, or could not
	EndPaused             // it has left the address taken, for another keeper
)

// Watch waits, in the process of the watchdog, until the keeper at the other end of a socket pair has closed it or has ended, and returns how.
// Unless the end is regular, it revokes the uplink's socket and removes the way out of the pod's processes: a switch that outlives the
// keeper neither receives nor sends with them. The caller owns the descriptor, and Watch may be called once.
func Watch(fd int) (end End, err error) {
	guarded := map[byte]int{}
	for {
		message, file, err := receiveWatched(fd)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return end, os.NewSyscallError("recvmsg", err)
		case message == watchEnd:
			end = EndRegular
		case message == watchPause:
			end = EndPaused
		case file >= 0:
			if before, ok := guarded[message]; ok {
				_ = unix.Close(before)
			}
			guarded[message] = file
		case message == 0:
			if end != EndRegular {
				revokeGuarded(guarded)
			}
			return end, nil
		}
	}
}

// revokeGuarded does the same as port.revoke. Nothing follows from an error, and a process that holds it up does not prevent the rest.
func revokeGuarded(guarded map[byte]int) {
	var all []*revocation
	if fd, ok := guarded[watchUplink]; ok {
		all = append(all, startRevocation(tap.Device{FD: fd, Kind: tap.KindPacket}.Revoke))
	}
	if fd, ok := guarded[watchEgress]; ok {
		all = append(all, startRevocation(func() error { return podnet.RemoveTap(fd) }))
	}
	for _, r := range all {
		_ = r.wait(revokeLimit)
	}
}

// receiveWatched returns a message, with the descriptor that it has, or -1. The message is 0 at the end.
func receiveWatched(end int) (message byte, fd int, err error) {
	text, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(end, text, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return text[0], -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) == 0 {
		return text[0], -1, err
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) == 0 {
		return text[0], -1, err
	}
	return text[0], files[0], nil
}
