package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/unixport"
)

// tunDevice is the device of taps.
const tunDevice = "/dev/net/tun"

// Check returns the errors with which a keeper for this guest would end that can be found without changing or opening anything: missing
// capabilities, a descriptor that was not inherited, a directory that does not exist, no device for taps.
func Check(guest hypervisor.Attachment) (list []error) {
	for _, err := range []error{
		checkCapability(unix.CAP_NET_ADMIN, "NET_ADMIN"), checkCapability(unix.CAP_NET_RAW, "NET_RAW"), checkGuest(guest),
	} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}

// checkCapability returns an error unless this process has a capability.
func checkCapability(number uint, name string) error {
	var sets [2]unix.CapUserData // version 3 has 64 capabilities
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil || sets[number/32].Effective>>(number%32)&1 != 0 {
		return nil // without an answer, the attempt decides
	}
	return &missing.Error{What: "be the keeper", Need: "CAP_" + name + " in the pod's network namespace",
		Give: missing.GiveCapability(name)}
}

// checkGuest names the flag with the error.
func checkGuest(guest hypervisor.Attachment) error {
	if err := checkAttachment(guest); err != nil {
		return (&portSpec{spec: guest, guest: true}).explain(err)
	}
	return nil
}

func checkAttachment(guest hypervisor.Attachment) error {
	switch guest.Kind {
	case hypervisor.KindFD:
		fd, err := strconv.Atoi(guest.Name)
		if err == nil {
			_, err = unixport.Inherited(fd)
		}
		return err
	case hypervisor.KindStream, hypervisor.KindDgram:
		local, _, _ := strings.Cut(guest.Name, ",")
		if directory, err := os.Stat(filepath.Dir(local)); err != nil || !directory.IsDir() {
			return &unixport.PathError{Path: local, Why: "its directory does not exist; create it, or name another path"}
		}
	case hypervisor.KindTap:
		if err := unix.Access(tunDevice, unix.R_OK|unix.W_OK); err != nil {
			return &missing.Error{What: "open tap " + guest.Name, Need: tunDevice, Give: "use packet:NAME, stream:PATH or dgram:LOCAL,REMOTE", Err: err}
		}
	}
	return nil
}

// check ends a keeper that could not serve any switch, before it waits for one. What another podswitch has at present may be free later.
func (l *loop) check() error {
	if l.cfg.Pod == nil || l.state != idle {
		return nil
	}
	if err := errors.Join(Check(l.cfg.Pod.Guest)...); err != nil {
		return err
	}
	_, err := plan.Resolve(*l.cfg.Pod)
	if errors.Is(err, podnet.ErrTaken) {
		l.log.Warn("no switch can be served yet", zap.Error(err))
		return nil
	}
	return err
}
