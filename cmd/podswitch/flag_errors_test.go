package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestEveryFlagExplainsItsValues: the error of each flag that does not take every text names the flag, and says what it wants.
func TestEveryFlagExplainsItsValues(t *testing.T) {
	for _, c := range rootCommand().Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); kind == "string" || kind == "stringSlice" {
				return // checked later, where it is read; the next test has these
			}
			_, stderr, code := do(t, "", c.Name(), "--"+f.Name+"=?")
			if want := "podswitch: --" + f.Name + ` "?": want `; code != exitUsage || !strings.HasPrefix(stderr, want) {
				t.Errorf("%s --%s=?: exit code %d, %q; want 2 and %q", c.Name(), f.Name, code, stderr, want)
			}
		})
	}
}

// TestFlagLimits: a value outside its limits, or one that does not suit the others, is refused with the name of its flag.
func TestFlagLimits(t *testing.T) {
	for args, want := range map[string]string{
		"qemu-args --guest packet:a --queues 0":          "--queues 0: want 1 to 256",
		"qemu-args --guest packet:a --queues 9999":       "--queues 9999: want 1 to 256",
		"libvirt-xml --guest packet:a --queues -1":       "--queues -1: want 1 to 256",
		"qemu-args --guest stream:/a --queues 2":         "--queues 2: the attachment stream:/a has one pair (want 1,",
		"qemu-args --guest packet:a --mtu 1":             "--mtu 1: want 68 to 65535, or 0",
		"qemu-args --guest packet:a --mtu 65536":         "--mtu 65536: want 68 to 65535, or 0",
		"qemu-args --guest tap:a":                        "--guest tap:a: podswitch opens this tap",
		"qemu-args --guest packet:a --pod-interface a/b": `--pod-interface: device name "a/b": want`,
		"qemu-args":                                            "--guest is missing: want",
		"replay --bridge --mtu 1 /nope":                        "--mtu 1: want 68 to 65535",
		"replay --address 10.0.0.1 /nope":                      `--address "10.0.0.1": want an address with its prefix length`,
		"replay --address ::ffff:10.0.0.1/128 /nope":           `--address "::ffff:10.0.0.1/128": want an address with its prefix length`,
		"replay --address 10.0.0.1/24 --gateway fd00::1 /nope": `--gateway fd00::1: want one of the family of --address`,
		"replay --gateway 10.0.0.1 /nope":                      "--gateway needs --address",
		"run --hold-after -1s":                                 "--hold-after -1s: want 0s or more",
		"run --hold-switch -1s":                                "--hold-switch -1s: want 0s or more",
		"run --hold-keeper -1s":                                "--hold-keeper -1s: want 0s or more",
		"run --guest-mac 02:00:00:00:00":                       `--guest-mac "02:00:00:00:00": want six bytes`,
		"run --guest-mac 01:00:5e:00:00:01":                    `--guest-mac "01:00:5e:00:00:01": want a unicast address`,
		"run --keep tcp/80=nowhere":                            `--keep "tcp/80=nowhere": target "nowhere": want HOST:PORT`,
		"run --keep tcp/80=::1:8080":                           `--keep "tcp/80=::1:8080": target "::1:8080": want HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080`,
		"run --deny fd00::1:443":                               `--deny "fd00::1:443": want [fd00::1]:443 for a port, or fd00::1:443/128 for the address`,
		"run --takeover --families ipv6":                       "--families cannot be combined with --takeover: restart podswitch",
		"run --keeper /a --families ipv6":                      "--families cannot be combined with --keeper: set it on the keeper",
		"run --guest stream:":                                  `--guest "stream:": the path of a unix socket is missing`,
		"run --peer-uid 7":                                     "--peer-uid and --peer-pid-namespace need --keeper",
		"run --wait 5s":                                        "--wait needs --keeper",
		"run --keeper fd:x":                                    "--keeper fd:x: want the path of a socket or fd:N",
		"run --state-dir=":                                     "--state-dir is empty: want a directory",
		"keeper":                                               "--listen is missing: want the path of a socket",
		"keeper --listen /nope/a/b --peer-uid x":               `--peer-uid "x": want a number`,
		"switch --port tap:a":                                  "--port is given 1 times: want 2 to 256 ports",
		"switch --port tap:a --port tap:b --fdb-limit 0":       "--fdb-limit 0: want 1 to 1048576",
		"switch --port tap:a --port tap:b --ageing 0s":         "--ageing 0s: want more than 0",
		"switch --port tap:a --port tap:b --group-fwd-mask 1":  "--group-fwd-mask 0x1: want none of the bits",
		"run --interface red":                                  `--interface "red": the VM document has only the interface "default"`,
		"help foo":                                             `unknown command "foo": see podswitch --help`,
		"help stats":                                           `unknown command "stats": did you mean "status"`,
		"completion bash x":                                    `unexpected argument "x"`,
	} {
		stdout, stderr, code := do(t, "", strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%s: exit code %d, stderr %q, stdout %q; want 2 and %q", args, code, stderr, stdout, want)
		}
	}
}
