package model

// Ports and DHCP options of an interface.

import (
	"math"
	"net/netip"
	"strings"
)

// readPorts reads the ports of an interface. Under the bridge method they do not restrict any traffic.
func readPorts(v value) (ports []Port) {
	if field := v.field("portRanges"); field.data != nil {
		if ranges, ok := field.items(); ok && len(ranges) > 0 {
			field.fault("portRanges are only supported on masquerade interfaces; leave them out: bridge passes every port")
		}
	}
	items, _ := v.field("ports").items()
	names := make(map[string]bool, len(items))
	for _, item := range items {
		if !item.object() {
			continue
		}
		item.closed("name", "protocol", "port")
		port := Port{Name: readPortName(item.field("name"), names), Protocol: "TCP", Number: readPortNumber(item.field("port"))}
		protocol := item.field("protocol")
		if text := protocol.text(); text != "" {
			port.Protocol = text
		}
		if port.Protocol != "TCP" && port.Protocol != "UDP" {
			protocol.fault("Unknown protocol, only TCP or UDP allowed")
		}
		ports = append(ports, port)
	}
	return ports
}

// readPortName reads the name of a port. names holds the names of earlier ports, which must not repeat; readPortName adds to it.
func readPortName(v value, names map[string]bool) string {
	name := v.text()
	switch {
	case name == "":
		return ""
	case names[name]:
		v.fault("Duplicate name of the port: %s. Give every port its own name", show(name))
	case len(name) > 15 || !portNamePattern.MatchString(name) || !strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyz"):
		v.fault("Invalid name of the port: %s. Use at most 15 lower-case letters, digits and single dashes between them, "+
			"with one letter at least", show(name))
	}
	names[name] = true
	return name
}

// readPortNumber reads the number of a port, which is mandatory.
func readPortNumber(v value) uint16 {
	number, ok := v.whole()
	switch {
	case v.data == nil || ok && number == 0:
		v.fault("Port field is mandatory. Give a number from 1 to 65535")
	case ok && (number < 0 || number > math.MaxUint16):
		v.fault("Port field must be in range 0 < x < 65536.")
	default:
		return uint16(number)
	}
	return 0
}

// readDHCPOptions reads additional DHCP options.
func (l layout) readDHCPOptions(v value) (options DHCPOptions) {
	if !v.object() {
		return options
	}
	known := []string{"bootFileName", "tftpServerName", "ntpServers", "privateOptions"}
	own := []string{"clientBootFiles", "options", "bootParameters", "subnet"}
	if l.kubevirt {
		known = append(known, v.reject(own)...)
	} else {
		known = append(known, own...)
		options.BootFiles, options.Options = readBootFiles(v.field("clientBootFiles")), readOptions(v.field("options"))
		options.BootParameters = readBootParameters(v.field("bootParameters"))
		options.Subnet = readSubnet(v.field("subnet"))
	}
	v.closed(known...)
	options.BootFileName = v.field("bootFileName").text()
	options.TFTPServerName = v.field("tftpServerName").text()
	options.NTPServers = l.readNTPServers(v.field("ntpServers"))
	options.PrivateOptions = readPrivateOptions(v.field("privateOptions"))
	return options
}

// readNTPServers reads addresses: IPv4 ones, and in podswitch's own format also IPv6 ones.
func (l layout) readNTPServers(v value) (addresses []netip.Addr) {
	servers, _ := v.items()
	for _, server := range servers {
		text := server.text()
		address, err := netip.ParseAddr(text)
		switch {
		case !server.isText():
		case l.kubevirt && (err != nil || !address.Is4()):
			server.fault("NTP servers must be a list of valid IPv4 addresses. %s is not one", show(text))
		case err != nil || !address.Is4() && !address.IsGlobalUnicast() || address.Is4In6() || address.Zone() != "":
			server.fault("NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. %s is neither", show(text))
		}
		addresses = append(addresses, address)
	}
	return addresses
}

// reject reports a fault for each of the fields that is present, because KubeVirt does not have it. It returns the names of those.
func (v value) reject(own []string) (present []string) {
	for _, name := range own {
		if field := v.field(name); field.given {
			field.fault("is not a field of KubeVirt; use podswitch's own format (interfaces in spec.devices.interfaces)")
			present = append(present, name)
		}
	}
	return present
}

// readSubnet reads which clients get a subnet that has the gateway in it.
func readSubnet(v value) Subnet {
	subnet := Subnet(v.text())
	switch subnet {
	case SubnetAuto, SubnetWide, SubnetPod:
		return subnet
	}
	v.fault("want wide or pod, not %s; without it, clients that request no routes get a subnet with the gateway in it", show(string(subnet)))
	return SubnetAuto
}

// readPrivateOptions reads the options for private use. Each code may occur once.
func readPrivateOptions(v value) (options []PrivateOption) {
	items, _ := v.items()
	seen := make(map[int64]bool, len(items))
	for _, item := range items {
		if !item.object() {
			continue
		}
		item.closed("option", "value")
		field := item.field("option")
		code, ok := field.whole()
		switch {
		case field.data == nil || ok && (code < 224 || code > 254):
			field.fault("provided DHCPPrivateOptions are out of range, must be in range 224 to 254")
		case ok && seen[code]:
			field.fault("Found Duplicates: you have provided duplicate DHCPPrivateOptions; keep one with option %d", code)
		}
		seen[code] = true
		options = append(options, PrivateOption{Code: uint8(code), Value: item.field("value").text()})
	}
	return options
}
