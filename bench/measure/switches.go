package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// saysReady matches the message ready of podswitch, and no message that contains the word.
const saysReady = `^\S+ +info +ready( |$)`

// A starter returns when the guest of a session has its interface.
type starter = func(context.Context, *session) error

func delegate(offload string) starter {
	return func(ctx context.Context, s *session) error {
		if _, err := s.launch(saysReady, s.podswitch, "run", "--state-dir", filepath.Join(s.work, "state"), "--offload", offload); err != nil {
			return err
		}
		s.target, s.target6 = podAddr, podAddr6
		return s.plug(ctx, podAddr)
	}
}

// learn starts podswitch switch with additional idle ports, each a tap that is up.
func learn(idle int) starter {
	return func(ctx context.Context, s *session) error {
		// The switch reads the MTU of its devices when it starts.
		err := s.pod.ip(ctx, "tuntap add mode tap vnet_hdr name tap0", fmt.Sprintf("link set tap0 mtu %d", s.mtu))
		if err != nil {
			return err
		}
		// podswitch refuses the session's folder for its socket, because other users can write to it.
		own := filepath.Join(s.work, "switch")
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		args := []string{s.podswitch, "switch", "--control", filepath.Join(own, "control"), "--port", "tap:tap0", "--port", "packet:eth0"}
		var up []string
		for i := range idle {
			args = append(args, "--port", fmt.Sprintf("tap:idle%d", i))
			up = append(up, fmt.Sprintf("link set idle%d up", i))
		}
		if _, err := s.launch(saysReady, args...); err != nil {
			return err
		}
		if err := s.pod.ip(ctx, up...); err != nil {
			return err
		}
		return s.plug(ctx, guestAddr)
	}
}

func startPump(plain ...string) starter {
	return func(ctx context.Context, s *session) error {
		if len(plain) > 0 {
			if err := s.whole(ctx); err != nil {
				return err
			}
		}
		if _, err := s.launch("^ready$", append([]string{s.pump, "tap0", "eth0"}, plain...)...); err != nil {
			return err
		}
		return s.plug(ctx, guestAddr)
	}
}

// whole makes the node's kernel segment frames to the pod and complete their checksums, for candidates without offloads.
func (s *session) whole(ctx context.Context) error {
	_, err := s.node.run(ctx, "ethtool -K v-pod tx off")
	return err
}

func startBridge(ctx context.Context, s *session) error {
	err := s.pod.ip(ctx,
		fmt.Sprintf("link add tap0 mtu %d type veth peer name guest mtu %d", s.mtu, s.mtu),
		"link add bridge type bridge",
		fmt.Sprintf("link set bridge mtu %d up", s.mtu),
		"link set eth0 master bridge",
		"link set guest master bridge up")
	if err != nil {
		return err
	}
	return s.plug(ctx, guestAddr)
}

// openVSwitch starts Open vSwitch with all its files in the session's folder, so that it does not affect the machine's.
func openVSwitch(daemon string, segments bool) starter {
	return func(ctx context.Context, s *session) error {
		database := filepath.Join(s.work, "conf.db")
		socket := "unix:" + filepath.Join(s.work, "db.sock")
		if _, err := host(ctx, "ovsdb-tool create "+database+" /usr/share/openvswitch/vswitch.ovsschema"); err != nil {
			return err
		}
		_, err := s.launchOVS("ovsdb-server", database, "--remote=p"+socket)
		if err != nil {
			return err
		}
		vsctl := func(line string) error {
			_, err := s.pod.run(ctx, "ovs-vsctl --db="+socket+" --timeout=10 "+line)
			return err
		}
		err = errors.Join(
			await(ctx, "ovsdb-server", func() error { return vsctl("--no-wait init") }),
			vsctl(fmt.Sprintf("--no-wait set Open_vSwitch . other_config:userspace-tso-enable=%t", segments)))
		if err != nil {
			return err
		}
		return s.bridgeOVS(ctx, daemon, socket, segments, vsctl)
	}
}

func (s *session) launchOVS(program, argument string, more ...string) (*process, error) {
	name := filepath.Base(program)
	args := []string{"env", "OVS_RUNDIR=" + s.work, "OVS_LOGDIR=" + s.work, "OVS_DBDIR=" + s.work, "OVS_SYSCONFDIR=" + s.work,
		program, argument, "--no-chdir", "--pidfile=" + filepath.Join(s.work, name+".pid"), "--unixctl=" + filepath.Join(s.work, name+".ctl")}
	return s.launch("", append(args, more...)...)
}

func (s *session) bridgeOVS(ctx context.Context, daemon, socket string, segments bool, vsctl func(string) error) error {
	if !segments {
		if err := s.whole(ctx); err != nil {
			return err
		}
	}
	p, err := s.launchOVS(daemon, socket)
	if err != nil {
		return err
	}
	err = vsctl(fmt.Sprintf("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 eth0 -- add-port br0 tap0"+
		" -- set interface tap0 type=tap mtu_request=%d", s.mtu))
	if err != nil {
		return err
	}
	if text := p.text(); segments && strings.Contains(text, "can not be enabled") {
		return fmt.Errorf("userspace-tso-enable: %s", end(text, 5))
	}
	return s.plug(ctx, guestAddr)
}

// startVDE connects vde_switch to eth0 by a bridge and a tap. vde_pcapplug cannot be used: it sends frames, but receives none.
func startVDE(ctx context.Context, s *session) error {
	if err := s.whole(ctx); err != nil {
		return err
	}
	_, err := s.launch("", "vde_switch", "--sock", filepath.Join(s.work, "vde"), "--rcfile", "/dev/null", "--tap", "tap0", "--tap", "uplink")
	if err != nil {
		return err
	}
	if err := s.awaitLink(ctx, s.pod, "uplink"); err != nil {
		return err
	}
	err = s.pod.ip(ctx, "link add bridge type bridge", "link set bridge up", "link set eth0 master bridge", "link set uplink master bridge up")
	if err != nil {
		return err
	}
	return s.plug(ctx, guestAddr)
}
