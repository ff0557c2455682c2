package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
)

// The candidates in this file terminate the guest's connections and make their own from the pod. They forward ports of the pod's address to
// the guest.

func startPasta(ctx context.Context, s *session) error {
	s.target = podAddr
	ports := fmt.Sprintf("%d,%d", bulkPort, askPort)
	args := []string{"pasta", "--foreground", "--stderr", "--runas", "0", "--ipv4-only", "--ns-ifname", "tap0", "--mtu", fmt.Sprint(s.mtu),
		"--tcp-ports", ports, "--udp-ports", fmt.Sprint(floodPort), "--tcp-ns", "none", "--udp-ns", "none", "--netns", s.guest.path()}
	if !s.bare {
		args = append(args, "--config-net")
	}
	p, err := s.launch("", args...)
	if err != nil {
		return err
	}
	return s.appeared(ctx, p)
}

func startSlirp(ctx context.Context, s *session) error {
	s.target = podAddr
	socket := filepath.Join(s.work, "slirp.sock")
	args := []string{"slirp4netns", fmt.Sprintf("--mtu=%d", s.mtu), "--disable-dns", "--api-socket=" + socket, "--netns-type=path"}
	if !s.bare {
		args = append(args, "--configure")
	}
	p, err := s.launch("", append(args, s.guest.path(), "tap0")...)
	if err != nil {
		return err
	}
	if err := s.appeared(ctx, p); err != nil || s.bare {
		return err
	}
	for port, proto := range map[int]string{bulkPort: "tcp", askPort: "tcp", floodPort: "udp"} {
		err := await(ctx, "slirp4netns", func() error { return forwardSlirp(ctx, socket, proto, port) })
		if err != nil {
			return err
		}
	}
	return nil
}

func forwardSlirp(ctx context.Context, socket, proto string, port int) error {
	connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = fmt.Fprintf(connection, `{"execute": "add_hostfwd", "arguments": {"proto": %q, "host_addr": "0.0.0.0", `+
		`"host_port": %d, "guest_addr": "10.0.2.100", "guest_port": %d}}`, proto, port, port)
	if err != nil {
		return err
	}
	var reply struct {
		Error  *struct{ Desc string }
		Return json.RawMessage
	}
	if err := json.NewDecoder(connection).Decode(&reply); err != nil {
		return fmt.Errorf("slirp4netns's answer: %w", err)
	}
	if reply.Error != nil {
		return fmt.Errorf("slirp4netns does not forward %s port %d: %s", proto, port, reply.Error.Desc)
	}
	return nil
}

// startGvproxy starts gvproxy in the pod, and gvforwarder, which a virtual machine would run, in the guest.
func startGvproxy(ctx context.Context, s *session) error {
	s.target = podAddr
	network, services := filepath.Join(s.work, "network.sock"), filepath.Join(s.work, "services.sock")
	_, err := s.launch("waiting for clients", filepath.Join(s.peers, "gvproxy"), "-listen", "unix://"+network, "-services", "unix://"+services,
		"-mtu", fmt.Sprint(s.mtu))
	if err != nil {
		return err
	}
	for port, proto := range map[int]string{bulkPort: "tcp", askPort: "tcp", floodPort: "udp"} {
		err := await(ctx, "gvproxy", func() error { return forwardGvproxy(ctx, services, proto, port) })
		if err != nil {
			return err
		}
	}
	if err := s.guest.ip(ctx, "tuntap add mode tap name tap0", "link set tap0 address 5a:94:ef:e4:0c:ee"); err != nil {
		return err
	}
	// gvforwarder's MTU includes the Ethernet header.
	_, err = s.launchIn(s.guest, "waiting for packets", filepath.Join(s.peers, "gvforwarder"), "-preexisting", "-iface", "tap0",
		"-stop-if-exist", "", "-mtu", fmt.Sprint(s.mtu+14), "-url", "unix://"+network)
	if err != nil {
		return err
	}
	return s.dress(ctx, "192.168.127.2/24", "192.168.127.1")
}

func forwardGvproxy(ctx context.Context, socket, proto string, port int) error {
	body, err := json.Marshal(map[string]string{
		"local":    fmt.Sprintf("0.0.0.0:%d", port),
		"remote":   fmt.Sprintf("192.168.127.2:%d", port),
		"protocol": proto,
	})
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gvproxy/services/forwarder/expose", bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(response.Body)
		return fmt.Errorf("gvproxy does not forward %s port %d: %s", proto, port, answer)
	}
	return nil
}
