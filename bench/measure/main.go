// Measure compares podswitch with its peers and with the limits of the machine. It measures all candidates in turn, in several rounds, in
// the same topology, so that figures can be compared within a run.
//
//	go run ./bench/measure -only pump,podswitch -figures tcp,pps -rounds 5 -seconds 2
//
// It prints a table and writes the results as JSON and as a chart. It needs root and bin/podswitch. It reports peers that the machine
// lacks. Its network namespaces have names that begin with pswb and its process id.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/podswitch/podswitch/host/missing"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := measure(ctx, os.Args[1:])
	stop()
	var lack *missing.Error
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.As(err, &lack):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := o.candidates(candidates())
	if err != nil {
		return err
	}
	b, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	chosen = b.present(chosen)
	b.loads()
	if err := b.run(ctx, chosen); err != nil {
		return err
	}
	b.results.conclude(chosen)
	if err := b.results.print(os.Stdout); err != nil {
		return err
	}
	return errors.Join(b.results.write(o.json), b.results.draw(o.chart))
}

// prepare builds bench/pump and bench/load, and checks the machine.
func prepare(ctx context.Context, o options) (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, &missing.Error{What: "measure", Need: "root", Give: "network namespaces are made"}
	}
	for _, program := range []string{"ip", "iperf3", "ethtool", "tcpdump", "udhcpc", "sysctl", o.podswitch} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, &missing.Error{What: "measure", Need: program, Give: "run make setup build"}
		}
	}
	var err error
	if o.podswitch, err = filepath.Abs(o.podswitch); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "podswitch-bench")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(work, 0o755), build(ctx, work)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	return &bench{
		options:  o,
		id:       fmt.Sprintf("pswb%d", os.Getpid()),
		work:     work,
		pump:     filepath.Join(work, "pump"),
		load:     filepath.Join(work, "load"),
		progress: os.Stderr,
		results:  newResults(thisMachine(), settings{Rounds: o.rounds, Seconds: o.seconds}),
		given:    map[string]bool{},
	}, nil
}

func build(ctx context.Context, folder string) error {
	_, err := host(ctx, "go build -trimpath -o "+folder+"/ ./bench/pump ./bench/load")
	return err
}
