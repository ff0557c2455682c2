package keeper

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// Run starts a switch and serves it until ctx is done, and then returns nil, with the pod interface as it was before. Any other end
// is an error; the interface is restored then too, if it still exists. The function spawn makes the command of the switch, which
// inherits its end of the session as descriptor 3. Other switches connect to the unix socket takeoverSocket to replace the first
// one; empty: there is no such socket.
func Run(ctx context.Context, cfg Config, spawn func(end *os.File) *exec.Cmd, takeoverSocket string) (err error) {
	if err := checkConfig(&cfg); err != nil {
		return err
	}
	l := newLoop(cfg)
	l.spawn = spawn
	if err := l.open(rebuilding, building); err != nil {
		return err
	}
	first, err := start(spawn)
	if err != nil {
		return errors.Join(err, l.abandon())
	}
	l.child = first
	defer func() { err = l.child.end(err) }()
	if takeoverSocket != "" {
		listener, err := unixsocket.Listen(unixsocket.Spec{Path: takeoverSocket, Owner: -1, Name: "takeover socket", Flag: "--state-dir"})
		if err != nil {
			return errors.Join(err, l.abandon())
		}
		defer listener.Close()
		go l.accept(listener.UnixListener, maxSessions)
	}
	l.serveChild(first)
	return l.run(ctx)
}

// open opens the resources. The state is taken if the address was taken by a keeper that was killed, and free otherwise.
func (l *loop) open(taken, free state) (err error) {
	if l.resources, err = openResources(&l.cfg, l.control, true); err != nil {
		return err
	}
	l.state = free
	if l.resources.adopted == nil {
		return nil
	}
	if err := l.resumeTaken(taken); err != nil {
		return errors.Join(err, l.closeAll())
	}
	return nil
}

// abandon closes what open has opened, and gives an adopted address back, before the loop runs.
func (l *loop) abandon() error {
	switch {
	case l.undoTake != nil:
		return l.giveBack()
	case l.resources != nil:
		return l.closeAll()
	}
	return nil
}

// isSameFile reports whether two paths are those of one file.
func isSameFile(a, b string) bool {
	first, errFirst := os.Stat(a)
	second, errSecond := os.Stat(b)
	return errFirst == nil && errSecond == nil && os.SameFile(first, second)
}

// Listen serves the switches that connect to the socket at path, one after the other, until ctx is done, and then returns nil. At the
// socket own, which may be the same one, this process's user may ask whether the keeper works: without CAP_DAC_OVERRIDE, root cannot connect to the first one if another user owns it.
func Listen(ctx context.Context, cfg Config, path, own string) error {
	if err := checkConfig(&cfg); err != nil {
		return err
	}
	l := newLoop(cfg)
	controlErr := l.openControl()
	defer l.closeControl()
	if cfg.Pod != nil { // a switch may connect much later
		if err := l.resumeOrRestore(); err != nil {
			return err
		}
	}
	if controlErr != nil { // after what an earlier run has left was restored
		return errors.Join(controlErr, l.abandon())
	}
	if err := l.check(); err != nil {
		return err
	}
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: cfg.Owner, Name: "keeper socket", Flag: "--listen"})
	if err != nil {
		return errors.Join(err, l.abandon())
	}
	defer listener.Close()
	if !isSameFile(path, own) {
		asked, err := unixsocket.Listen(unixsocket.Spec{Path: own, Owner: -1, Name: "keeper's own socket", Flag: "--state-dir"})
		if err != nil {
			return errors.Join(err, l.abandon())
		}
		defer asked.Close()
		go l.accept(asked.UnixListener, maxSessions+maxAsking)
	}
	go l.accept(listener.UnixListener, maxSessions)
	l.log.Info("waiting for a switch", zap.String("at", path))
	return l.run(ctx)
}
