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

// A patience is how long the keeper waits for a switch in each phase; tests have less of it.
type patience struct{ hello, ready, start, stop, yield time.Duration }

// maxClients bounds those who are connected at once.
const maxClients = 8

// A keeper is the loop and what it knows.
type keeper struct {
	cfg   Config
	log   *zap.Logger
	once  bool        // it ends with its switch
	tasks chan func() // what the loop does next
	done  chan struct{}
	said  sync.WaitGroup // the goroutines that speak to clients

	patience patience
	taking   func(*keeping) (giveBack func() error, err error) // takes the address

	// The following belong to the loop.
	keeping      *keeping
	clients      map[*client]bool
	current      *client // whose switch is at work, or about to be; nil: nobody's
	next         *client // who takes over
	nextPlan     *plan.Plan
	giveBack     func() error // nil: the address is the kernel's
	watchdog     *watchdog
	absent       bool // the guest's device, or what is behind it, is not there
	takeovers    int
	handed       *handover // between two switches; nil: nothing is
	guestWatched bool      // for the present keeping
	ended        bool
	err          error
}

func newKeeper(cfg Config, once bool) *keeper {
	return &keeper{cfg: cfg, log: cfg.Log, once: once, tasks: make(chan func()), done: make(chan struct{}), clients: map[*client]bool{},
		patience: patience{helloTimeout, readyTimeout, startTimeout, stopTimeout, yieldTimeout}, taking: (*keeping).take}
}

// Run keeps for a switch that it starts itself, until ctx is done, and then returns nil with the pod interface as it was before.
// Any other end is an error; the interface is given back then too, if it is still there. The function spawn makes the command
// of the switch, which finds its end of the conversation as descriptor 3. At the path takeovers others connect that are to go
// on in place of the first switch; empty: nobody can.
func Run(ctx context.Context, cfg Config, spawn func(end *os.File) *exec.Cmd, takeovers string) (err error) {
	k := newKeeper(cfg, true)
	if k.keeping, err = keep(&k.cfg); err != nil {
		return err
	}
	first, err := start(spawn)
	if err != nil {
		return errors.Join(err, k.keeping.close())
	}
	defer func() { err = first.end(err) }()
	if takeovers != "" {
		l, err := listen(takeovers, -1)
		if err != nil {
			return errors.Join(err, k.keeping.close())
		}
		defer l.Close()
		go k.accept(l)
	}
	k.current = k.welcome(first.conn)
	k.current.pid, k.current.uid = first.command.Process.Pid, os.Geteuid()
	return k.loop(ctx)
}

// Listen keeps for switches that connect to l, one after the other, until ctx is done, and then returns nil.
func Listen(ctx context.Context, cfg Config, path string) error {
	k := newKeeper(cfg, false)
	if cfg.Attach != nil { // nobody knows when a switch will come
		if err := recoverNow(&k.cfg); err != nil {
			return err
		}
	}
	l, err := listen(path, cfg.Owner)
	if err != nil {
		return err
	}
	defer l.Close()
	go k.accept(l)
	k.log.Info("waiting for a switch", zap.String("at", path))
	return k.loop(ctx)
}

// loop does one task after the other until the end.
func (k *keeper) loop(ctx context.Context) error {
	defer close(k.done)
	stop := ctx.Done()
	for !k.ended {
		select {
		case task := <-k.tasks:
			task()
		case <-stop:
			stop = nil
			k.stop()
		}
	}
	for c := range k.clients {
		k.hangUp(c)
	}
	k.said.Wait()
	return k.err
}

// do hands a task to the loop; after its end, to nobody.
func (k *keeper) do(task func()) bool {
	select {
	case k.tasks <- task:
		return true
	case <-k.done:
		return false
	}
}

// stop ends everything because it was asked for.
func (k *keeper) stop() {
	k.once = true
	k.release(nil)
}

// release lets the switch that answers for the address stop, and then ends its time. It does not wait long: the address goes back
// whatever the switch does.
func (k *keeper) release(cause error) {
	c := k.answers()
	if c != nil && c.stopped != nil {
		return // it goes back already
	}
	if c == nil || k.giveBack == nil || k.send(c, grant.Message{Stop: &grant.Stop{}}) != nil {
		k.finish(cause)
		return
	}
	c.stopped = func() { k.finish(cause) }
	time.AfterFunc(k.patience.stop, func() {
		k.do(func() {
			if c.stopped != nil {
				c.stopped()
			}
		})
	})
}

// answers is the switch that answers for the address, or is about to; nil: nobody's.
func (k *keeper) answers() *client {
	if k.current != nil && k.current.phase == yielded && k.next != nil {
		return k.next
	}
	return k.current
}

// finish gives the address back and closes everything that was open for the switch. Without an error it was to be so.
func (k *keeper) finish(cause error) {
	if k.giveBack != nil {
		cause = errors.Join(cause, k.giveBack())
		k.giveBack = nil
	}
	if k.keeping != nil {
		cause = errors.Join(cause, k.keeping.close())
		k.keeping = nil
	}
	k.watchdog.close()
	k.watchdog = nil
	for _, c := range []*client{k.current, k.next} {
		if c != nil {
			c.stopped = nil
			k.hangUp(c)
		}
	}
	k.current, k.next, k.nextPlan, k.guestWatched = nil, nil, nil, false
	k.dropHandover()
	if k.once {
		k.ended, k.err = true, cause
		return
	}
	if cause != nil {
		k.log.Error("the switch has ended", zap.Error(cause))
	}
	k.log.Info("waiting for a switch")
}

// fail tells a client why it cannot go on, and ends its conversation.
func (k *keeper) fail(c *client, cause error) {
	_ = k.send(c, grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: k.cfg.ExitCode(cause)}})
	k.hangUp(c)
	if c == k.current {
		k.finish(cause)
	}
}

// busyError is why a switch cannot begin.
func (k *keeper) busyError() error {
	return &missing.Error{What: "begin to switch", Need: fmt.Sprintf("a keeper without another switch, and it has that of process %d", k.current.pid),
		Give: "end that one, or say --takeover"}
}

// accept takes connections until the listener is closed.
func (k *keeper) accept(l *net.UnixListener) {
	for {
		socket, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			k.log.Warn("connection not accepted", zap.Error(err))
			time.Sleep(endTimeout) // no descriptor or memory is left: it is of no use to try at once
			continue
		}
		peer, err := k.cfg.Peers.Check(socket)
		if err != nil {
			k.log.Warn("connection refused", zap.Error(err))
			k.refuse(socket, err)
			continue
		}
		posted := k.do(func() {
			if len(k.clients) >= maxClients {
				k.log.Warn("connection refused: too many are open", zap.Int32("process", peer.Pid))
				socket.Close()
				return
			}
			c := k.welcome(grant.NewConn(socket))
			c.pid, c.uid = int(peer.Pid), int(peer.Uid)
		})
		if !posted {
			socket.Close()
		}
	}
}

// refuse tells one who may not speak here why, if he reads it at once.
func (k *keeper) refuse(socket *net.UnixConn, cause error) {
	conn := grant.NewConn(socket)
	_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: k.cfg.ExitCode(cause)}})
	conn.Close()
}
