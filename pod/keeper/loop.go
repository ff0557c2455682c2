package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// How long others may take.
const (
	helloTimeout = 5 * time.Second        // to say who they are
	readyTimeout = 30 * time.Second       // to build everything
	startTimeout = 2 * time.Second        // to be at work once it was told to
	stopTimeout  = 200 * time.Millisecond // to stop answering for the address, before it goes back anyway
	yieldTimeout = 2 * time.Second        // to say what they know
	endTimeout   = time.Second            // to end
)

// timeouts are how long the keeper waits for a switch in each phase; tests have less of it.
type timeouts struct{ hello, ready, start, stop, yield time.Duration }

// maxSessions bounds those who are connected at once.
const maxSessions = 8

// A keeper is the loop and what it knows.
type loop struct {
	cfg     Config
	log     *zap.Logger
	once    bool        // it ends with its switch
	tasks   chan func() // what the loop does next
	done    chan struct{}
	writers sync.WaitGroup // the goroutines that speak to sessions

	timeouts    timeouts
	takeAddress func(*resources) (giveBack func() error, err error) // takes the address

	// The following belong to the loop.
	resources    *resources
	sessions     map[*session]bool
	current      *session // whose switch is at work, or about to be; nil: nobody's
	next         *session // who takes over
	nextPlan     *plan.Plan
	giveBack     func() error // nil: the address is the kernel's
	watchdog     *watchdog
	absent       bool // the guest's device, or what is behind it, is not there
	takeovers    int
	handover     *handover // between two switches; nil: nothing is
	guestWatched bool      // of the present resources
	ended        bool
	err          error
}

func newLoop(cfg Config, once bool) *loop {
	return &loop{cfg: cfg, log: cfg.Log, once: once, tasks: make(chan func()), done: make(chan struct{}), sessions: map[*session]bool{},
		timeouts: timeouts{helloTimeout, readyTimeout, startTimeout, stopTimeout, yieldTimeout}, takeAddress: (*resources).takeAddress}
}

// Run keeps for a switch that it starts itself, until ctx is done, and then returns nil with the pod interface as it was before.
// Any other end is an error; the interface is given back then too, if it is still there. The function spawn makes the command
// of the switch, which finds its end of the conversation as descriptor 3. At the path takeovers others connect that are to go
// on in place of the first switch; empty: nobody can.
func Run(ctx context.Context, cfg Config, spawn func(end *os.File) *exec.Cmd, takeovers string) (err error) {
	l := newLoop(cfg, true)
	if l.resources, err = openResources(&l.cfg); err != nil {
		return err
	}
	first, err := start(spawn)
	if err != nil {
		return errors.Join(err, l.resources.close())
	}
	defer func() { err = first.end(err) }()
	if takeovers != "" {
		listener, err := unixsocket.Listen(unixsocket.Spec{Path: takeovers, Owner: -1, Name: "takeover socket", Flag: "--state-dir"})
		if err != nil {
			return errors.Join(err, l.resources.close())
		}
		defer listener.Close()
		go l.accept(listener)
	}
	l.current = l.connect(first.conn)
	l.current.pid, l.current.uid = first.command.Process.Pid, os.Geteuid()
	return l.run(ctx)
}

// Listen keeps for switches that connect to l, one after the other, until ctx is done, and then returns nil.
func Listen(ctx context.Context, cfg Config, path string) error {
	l := newLoop(cfg, false)
	if cfg.Attach != nil { // nobody knows when a switch will come
		if err := recoverNow(&l.cfg); err != nil {
			return err
		}
	}
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: cfg.Owner, Name: "keeper socket", Flag: "--listen"})
	if err != nil {
		return err
	}
	defer listener.Close()
	go l.accept(listener)
	l.log.Info("waiting for a switch", zap.String("at", path))
	return l.run(ctx)
}

// loop does one task after the other until the end.
func (l *loop) run(ctx context.Context) error {
	defer close(l.done)
	stop := ctx.Done()
	for !l.ended {
		select {
		case task := <-l.tasks:
			task()
		case <-stop:
			stop = nil
			l.stop()
		}
	}
	for s := range l.sessions {
		s.hangUp()
	}
	l.writers.Wait()
	return l.err
}

// do hands a task to the loop; after its end, to nobody.
func (l *loop) do(task func()) bool {
	select {
	case l.tasks <- task:
		return true
	case <-l.done:
		return false
	}
}

// stop ends everything because it was asked for.
func (l *loop) stop() {
	l.once = true
	l.release(nil)
}

// release lets the switch that answers for the address stop, and then ends its time. It does not wait long: the address goes back
// whatever the switch does.
func (l *loop) release(cause error) {
	s := l.answers()
	if s != nil && s.stopped != nil {
		return // it goes back already
	}
	if s == nil || l.giveBack == nil || s.send(grant.Message{Stop: &grant.Stop{}}) != nil {
		l.finish(cause)
		return
	}
	s.stopped = func() { l.finish(cause) }
	time.AfterFunc(l.timeouts.stop, func() {
		l.do(func() {
			if s.stopped != nil {
				s.stopped()
			}
		})
	})
}

// answers is the switch that answers for the address, or is about to; nil: nobody's.
func (l *loop) answers() *session {
	if l.current != nil && l.current.phase == yielded && l.next != nil {
		return l.next
	}
	return l.current
}

// finish gives the address back and closes everything that was open for the switch. Without an error it was to be so.
func (l *loop) finish(cause error) {
	if l.giveBack != nil {
		cause = errors.Join(cause, l.giveBack())
		l.giveBack = nil
	}
	if l.resources != nil {
		cause = errors.Join(cause, l.resources.close())
		l.resources = nil
	}
	l.watchdog.close()
	l.watchdog = nil
	for _, s := range []*session{l.current, l.next} {
		if s != nil {
			s.stopped = nil
			s.hangUp()
		}
	}
	l.current, l.next, l.nextPlan, l.guestWatched = nil, nil, nil, false
	l.dropHandover()
	if l.once {
		l.ended, l.err = true, cause
		return
	}
	if cause != nil {
		l.log.Error("the switch has ended", zap.Error(cause))
	}
	l.log.Info("waiting for a switch")
}

// fail sends a switch the reason why it cannot go on, and ends its session.
func (l *loop) fail(s *session, cause error) {
	_ = s.send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.cfg.ExitCode(cause)}})
	s.hangUp()
	if s == l.current {
		l.finish(cause)
	}
}

// busyError is why a switch cannot begin.
func (l *loop) busyError() error {
	return &missing.Error{What: "begin to switch", Need: fmt.Sprintf("a keeper without another switch, and it has that of process %d", l.current.pid),
		Give: "end that one, or say --takeover"}
}

// accept takes connections until the listener is closed.
func (l *loop) accept(listener *net.UnixListener) {
	for {
		socket, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("connection not accepted", zap.Error(err))
			time.Sleep(endTimeout) // no descriptor or memory is left: it is of no use to try at once
			continue
		}
		peer, err := l.cfg.Peers.Check(socket)
		if err != nil {
			l.log.Warn("connection refused", zap.Error(err))
			l.refuse(socket, err)
			continue
		}
		posted := l.do(func() {
			if len(l.sessions) >= maxSessions {
				l.log.Warn("connection refused: too many are open", zap.Int32("process", peer.Pid))
				socket.Close()
				return
			}
			s := l.connect(grant.NewConn(socket))
			s.pid, s.uid = int(peer.Pid), int(peer.Uid)
		})
		if !posted {
			socket.Close()
		}
	}
}

// refuse tells one who may not speak here why, if he reads it at once.
func (l *loop) refuse(socket *net.UnixConn, cause error) {
	conn := grant.NewConn(socket)
	_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.cfg.ExitCode(cause)}})
	conn.Close()
}
