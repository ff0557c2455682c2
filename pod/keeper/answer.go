package keeper

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/vswitch"
)

// A keeper that waits for a switch answers at the control socket itself, with what it is: nothing else would tell an operator why there
// is no switch. A switch that was started answers instead.

// controlSpec describes the control socket.
func controlSpec(cfg *Config) unixsocket.Spec {
	return unixsocket.Spec{Path: cfg.Control, Owner: cfg.Owner, Name: "control socket", Flag: cmp.Or(cfg.From, "--control")}
}

// openControl opens the control socket of a keeper that outlives its switches. If another process has it at present, the first switch gets the
// error, if there still is one then.
func (l *loop) openControl() error {
	listen := func() (*unixsocket.Listener, error) { return unixsocket.Listen(controlSpec(&l.cfg)) }
	control, err := whenReleased(l.mayContinue(), listen)
	if err != nil && !errors.Is(err, unixsocket.ErrHeld) {
		return err
	}
	if err != nil {
		l.log.Warn("no status while the keeper waits", zap.Error(err))
		return nil
	}
	l.control = control
	return nil
}

// renewControl replaces the control socket, if it stays open. A switch that has ended may keep its copy of the descriptor: it could answer in place of
// the next one, or have shut the socket down for all.
func (l *loop) renewControl() {
	switch r := l.resources; {
	case l.control != nil:
		l.renewLent()
	case r != nil && r.control != nil: // a hold of a keeper that ends with its switches
		r.control = l.replaceControl(r.control)
	}
}

// renewLent does so for a keeper that outlives its switches.
func (l *loop) renewLent() {
	if l.endAnswers != nil {
		l.endAnswers()
		l.endAnswers = nil
	}
	l.control = l.replaceControl(l.control)
	if l.resources != nil {
		l.resources.control = l.control
	}
}

// replaceControl returns a new control socket. If there is none, as on a full disk, it is one that nobody finds: the guest does not depend on the
// status. It is nil if that fails too.
func (l *loop) replaceControl(before *unixsocket.Listener) *unixsocket.Listener {
	next, err := before.Replace(controlSpec(&l.cfg))
	if err == nil {
		return next
	}
	l.log.Warn("no status: control socket not opened again", zap.Error(err))
	if next, err = unixsocket.ListenHidden(); err != nil {
		l.log.Warn("the next switch gets no control socket", zap.Error(err))
		return nil
	}
	return next
}

// closeControl closes it.
func (l *loop) closeControl() {
	if l.control != nil {
		_ = l.control.Close()
	}
}

// answer begins or ends to answer at the control socket, as the state has it.
func (l *loop) answer() {
	l.isHolding.Store(l.state == holding)
	waits := l.control != nil && (l.state == idle || l.state == holding)
	switch {
	case waits && l.endAnswers == nil:
		ctx, cancel := context.WithCancel(context.Background())
		l.endAnswers = cancel
		if err := l.serveStatus(ctx); err != nil {
			l.log.Warn("no status while the keeper waits", zap.Error(err))
		}
	case !waits && l.endAnswers != nil:
		l.endAnswers()
		l.endAnswers = nil
	}
}

// serveStatus serves the status until ctx is done. It listens with a descriptor of its own, which it closes.
func (l *loop) serveStatus(ctx context.Context) error {
	fd, err := descriptor.Borrow(l.control, func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "control socket")
	defer f.Close()
	listener, err := net.FileListener(f)
	if err != nil {
		return err
	}
	go func() {
		if err := control.Serve(ctx, listener, control.Source{Status: l.waitingStatus, Owner: l.cfg.Owner, Log: l.log}); err != nil {
			l.log.Warn("no status while the keeper waits", zap.Error(err))
		}
	}()
	return nil
}

// waitingStatus returns the status of a keeper without a switch. Any goroutine may call it.
func (l *loop) waitingStatus() control.Status {
	s := control.Status{Version: l.cfg.Version, Waiting: true, Holder: vswitch.HolderKernel.String(), KeeperPID: os.Getpid()}
	if l.isHolding.Load() {
		s.Holder = control.HolderNone
	}
	return s
}
