package dhcpsrv

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// The optional options of a DHCPv6 reply, in order of importance, which is also their order in the reply: what the client needs to move
// data, then to boot. One that does not fit the MTU is omitted, and a smaller one after it may still fit.

// The option codes that the library has no name for (RFC 8415, section 24).
const (
	optSolMaxRT dhcpv6.OptionCode = 82
	optInfMaxRT dhcpv6.OptionCode = 83
)

const (
	// maxRetransmission bounds the time between two messages of a client that gets no answers, such as one whose switch was away. It is
	// the least value that clients accept (RFC 8415, sections 21.24 and 21.25); their default is an hour, in favour of servers with
	// many clients.
	maxRetransmission = 60 * time.Second
	// refreshTime is how long the answer to INFORMATION-REQUEST is valid; it is also the default (RFC 8415, section 21.23).
	refreshTime = 24 * time.Hour
	// pxeClient is what the vendor class of PXE begins with.
	pxeClient = "PXEClient"
	// uefiEnterprise is the enterprise number in the vendor class of UEFI HTTP Boot: Intel's, as in the firmware's requests.
	uefiEnterprise = 343
)

// encode returns the options that do not depend on the client.
func (o *Offer6) encode() []option6 {
	options := []option6{{dhcpv6.OptionDNSRecursiveNameServer, encodeAddrs(o.NameServers)}}
	options = append(options,
		option6{optSolMaxRT, seconds(maxRetransmission)},
		option6{optInfMaxRT, seconds(maxRetransmission)},
		option6{dhcpv6.OptionInformationRefreshTime, seconds(refreshTime)},
		option6{dhcpv6.OptionDomainSearchList, encodeSearch(o.Search)})
	for _, server := range o.NTPServers {
		options = append(options, option6{dhcpv6.OptionNTPServer, encodeNTP(server)})
	}
	var parameters []byte
	for _, p := range o.BootParameters {
		parameters = append(binary.BigEndian.AppendUint16(parameters, uint16(len(p))), p...)
	}
	options = append(options,
		option6{dhcpv6.OptionSNTPServerList, encodeAddrs(o.NTPServers)},
		option6{dhcpv6.OptionBootfileParam, parameters})
	return slices.DeleteFunc(options, func(chosen option6) bool { return len(chosen.value) == 0 })
}

// encodeNTP returns the value of option 56: each server has an option of its own (RFC 5908, section 4).
func encodeNTP(server netip.Addr) []byte {
	return appendOptions6(nil, []option6{{dhcpv6.OptionCode(dhcpv6.NTPSuboptionSrvAddrCode), server.AsSlice()}})
}

// configuration returns the options for this client: name servers and search domains always, others if it requests them.
func (x *exchange6) configuration() []option6 {
	var chosen []option6
	for _, o := range x.offer.options {
		if x.isWanted(o.code) {
			chosen = append(chosen, o)
		}
	}
	servers := 0
	if len(x.offer.NameServers) > 0 {
		servers = 1
	}
	return slices.Insert(chosen, servers, x.bootOptions()...)
}

// isWanted reports whether the client gets an option.
func (x *exchange6) isWanted(code dhcpv6.OptionCode) bool {
	switch code {
	case dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList:
		return true
	case dhcpv6.OptionInformationRefreshTime: // for nothing else (RFC 8415, section 21.23)
		return x.request.kind == dhcpv6.MessageTypeInformationRequest
	case dhcpv6.OptionBootfileParam:
		// The PXE of UEFI (EDK II) takes the first parameter for the size of the boot file, and refuses the file if it is no number.
		// iPXE has the same vendor class.
		if x.request.isVendor(pxeClient) && !x.request.hasUserClass("iPXE") {
			return false
		}
	}
	return slices.Contains(x.request.wants, code)
}

// bootOptions returns the URL of the boot file, if the client requests it, and what UEFI HTTP Boot wants beside it (UEFI 2.10, section
// 24.7.3.1).
func (x *exchange6) bootOptions() (options []option6) {
	url := x.offer.url
	if i := matchBootFile(x.offer.BootFiles, x.request.hasUserClass, x.request.architectures); i >= 0 {
		url = x.offer.urls[i]
	}
	if url == "" || !slices.Contains(x.request.wants, dhcpv6.OptionBootfileURL) {
		return nil
	}
	options = append(options, option6{dhcpv6.OptionBootfileURL, []byte(url)})
	if x.request.isVendor(httpClient) && isHTTP(url) {
		value := binary.BigEndian.AppendUint32(nil, uefiEnterprise)
		value = binary.BigEndian.AppendUint16(value, uint16(len(httpClient)))
		options = append(options, option6{dhcpv6.OptionVendorClass, append(value, httpClient...)})
	}
	return options
}
