package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestStatusExitCodes checks what status says, and its exit code, with and without --ready.
func TestStatusExitCodes(t *testing.T) {
	const delegate = `"settings":{"method":"bridge.delegateIp"}`
	const both = delegate + `,"address":"10.244.1.7/24","ipv6":{"address":"fd00::7/64","holder":`
	for name, c := range map[string]struct {
		status           string
		code, readyCode  int
		message, readyIs string // what stderr has
	}{
		"a guest":               {`{"ready":true,"uplink":"up","holder":"guest",` + delegate + `}`, exitOK, exitOK, "", ""},
		"no guest":              {`{"uplink":"up","holder":"switch",` + delegate + `}`, exitOK, exitFailed, "", "the holder of the pod address is the switch"},
		"no IPv4":               {`{"uplink":"up","holder":"switch",` + both + `"guest"}}`, exitOK, exitFailed, "", "the holder of the pod's IPv4 address is the switch, not the guest"},
		"no IPv6":               {`{"uplink":"up","holder":"guest",` + both + `"switch"}}`, exitOK, exitFailed, "", "the holder of the pod's IPv6 address is the switch, not the guest"},
		"neither":               {`{"uplink":"up","holder":"kernel",` + both + `"switch"}}`, exitOK, exitFailed, "", "are kernel (IPv4), switch (IPv6), not the guest"},
		"the uplink is down":    {`{"uplink":"down","holder":"guest",` + delegate + `}`, exitFailed, exitFailed, "the uplink is down", "the uplink is down"},
		"a waiting keeper":      {`{"waiting":true,"holder":"kernel","keeper_pid":7}`, exitFailed, exitFailed, "the keeper waits for a switch", "the keeper waits for a switch"},
		"a bridge":              {`{"ready":true,"uplink":"up","holder":"kernel","settings":{"method":"bridge"}}`, exitOK, exitOK, "", ""},
		"a bridge, a port down": {`{"uplink":"up","holder":"kernel","settings":{"method":"bridge"}}`, exitOK, exitFailed, "", "a port is down"},
	} {
		t.Run(name, func(t *testing.T) {
			path := serveText(t, http.StatusOK, c.status)
			for _, format := range []string{"text", "json"} {
				stdout, stderr, code := do(t, "", "status", "-o", format, "--control", path)
				if code != c.code || stdout == "" || !strings.Contains(stderr, c.message) || c.message == "" && stderr != "" {
					t.Errorf("exit code %d, %q on stderr, stdout %q", code, stderr, stdout)
				}
			}
			stdout, stderr, code := do(t, "", "status", "--ready", "--control", path)
			if code != c.readyCode || stdout == "" || !strings.Contains(stderr, c.readyIs) {
				t.Errorf("with --ready: exit code %d, %q on stderr, stdout %q", code, stderr, stdout)
			}
		})
	}
}

// TestStatusText checks that the text has what the JSON has.
func TestStatusText(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   []string
		not    string
	}{
		"IP mode": {`{"version":"0.1.0","ready":true,"uplink":"up","holder":"guest","address":"10.244.1.7/24","gateway":"10.244.1.1","wire_mac":"02:00:00:00:00:01",
			"router_mac":"02:00:00:00:00:fe","mtu":1450,"lease":null,"sandbox":"no capabilities",
			"settings":{"method":"bridge.delegateIp","mute":true,"keep":["tcp/8080"],"rules":[{"destination":"10.0.0.0/8","protocol":6,"port":22}],"hold_after_ns":30000000000},
			"neighbours":{"counts":{"reachable":1,"incomplete":1},"list":[{"address":"10.244.1.9","state":"incomplete"}]},
			"ports":[{"name":"guest","kind":"stream","state":"no-hypervisor"}]}`,
			[]string{"uplink   up", "router 02:00:00:00:00:fe", "method bridge.delegateIp", "address muted", "keep tcp/8080", "hold after 30s", "deny   10.0.0.0/8 tcp port 22",
				"1 incomplete, 1 reachable", "no answer yet from 10.244.1.9", "version 0.1.0", "no-hypervisor"}, "never"},
		"both families": {`{"holder":"guest","address":"10.244.1.7/24","gateway":"10.244.1.1","wire_mac":"02:00:00:00:00:01","mtu":1450,"settings":{"method":"bridge.delegateIp"},
			"ipv6":{"holder":"switch","address":"fd00::7/64","gateway":"fe80::1","router":"fe80::2","mtu":1400,"lease":{"mac":"02:00:00:00:00:09","hostname":"vm","expires":"2026-01-02T00:00:00Z","duid_kind":"EN"}}}`,
			[]string{"holder   guest (IPv4), switch (IPv6)", "address  fd00::7/64  gateway fe80::1  mtu 1400  router fe80::2", "lease    none", "lease6   02:00:00:00:00:09  host name vm", "DUID-EN"}, "never"},
		"IPv6 alone": {`{"holder":"guest","wire_mac":"02:00:00:00:00:01","settings":{"method":"bridge.delegateIp"},"ipv6":{"holder":"guest","address":"fd00::7/64","router":"fe80::2","mtu":1400}}`,
			[]string{"holder   guest\n", "address  fd00::7/64  gateway none", "lease6   none"}, "lease    "},
		"Ethernet mode": {`{"uplink":"up","holder":"kernel","address":"10.244.1.7/24","wire_mac":"02:00:00:00:00:01","mtu":1450,"settings":{"method":"bridge"}}`,
			[]string{"wire 02:00:00:00:00:01\n", "settings method bridge\n"}, "00:00:00:00:00:00"},
		"one container":    {`{"holder":"guest","sandbox":"landlock 7","switch_pid":8,"keeper_pid":7}`, []string{"switch   process 8  landlock 7  keeper process 7  "}, "container"},
		"two containers":   {`{"holder":"guest","sandbox":"landlock 7","switch_pid":1}`, []string{"switch   process 1  landlock 7  keeper in another container  "}, "process 0"},
		"a waiting keeper": {`{"waiting":true,"holder":"kernel","keeper_pid":7,"version":"0.1.0"}`, []string{"keeper   process 7  version 0.1.0  waits for a switch"}, "PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, _, _ := do(t, "", "status", "--control", serveText(t, http.StatusOK, c.status))
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			if strings.Contains(stdout, c.not) {
				t.Errorf("%q in\n%s", c.not, stdout)
			}
		})
	}
}

// TestCompletion checks that each shell gets a script, and that the values of a flag are completed.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, stderr, code := do(t, "", "completion", shell); code != exitOK || !strings.Contains(stdout, "podswitch") {
			t.Errorf("%s: exit code %d: %s", shell, code, stderr)
		}
	}
	for line, want := range map[string]string{"st": "status", "run --address m": "mute", "run --log-format j": "json", "keeper --families ipv4,": "ipv4,ipv6", "status -o j": "json"} {
		if stdout, _, _ := do(t, "", append([]string{"__complete"}, strings.Fields(line)...)...); !strings.Contains(stdout, want) {
			t.Errorf("%q is completed with %q, want %q", line, stdout, want)
		}
	}
}
