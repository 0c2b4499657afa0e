# apt: read by scripts that fetch Debian packages without installing them; needs `die` and `say` of the caller.

# private_apt FOLDER STATUS SUITE...: makes apt commands use sources, state and cache below FOLDER, so that the host's stay as
# they are; only the host's mirrors, proxies and credentials are taken over. STATUS is the file that says what is installed.
# A suite NAME-security is left out where the host has no security mirror. Debian's keyring checks every index, and every index
# carries the hashes of what it lists. The freshness date of an index is not checked: mirrors that lag still serve sid.
private_apt() {
    [ -z "${APT_CONFIG:-}" ] || return 0
    local apt=$1 status=$2 codename keyring mirrors mirror proxies suite
    shift 2
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do [ ! -r "$keyring" ] || break; done
    [ -r "$keyring" ] || die "Debian's archive keyring is missing: install debian-archive-keyring"
    mirrors=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null)
    proxies=$(apt-config dump | grep -iE '^Acquire::((https?|tor)::|Check-Date)' || true)
    rm -rf "$apt"/etc
    mkdir -p "$apt"/etc/sources.list.d "$apt"/state/lists/partial "$apt"/cache/archives/partial
    for suite in "$@"; do
        case $suite in
        *-security) mirror=$(awk -v c="$codename-security" '$1 == "Debian" && $2 == c { print $3; exit }' <<<"$mirrors") ;;
        *)
            mirror=$(awk -v c="$codename" '$1 == "Debian" && $2 == c { print $3; exit }' <<<"$mirrors")
            [ -n "$mirror" ] || die "apt knows no Debian mirror for $codename: see /etc/apt/sources.list.d"
            ;;
        esac
        [ -z "$mirror" ] || cat >>"$apt/etc/sources.list.d/debian.sources" <<EOT
Types: deb deb-src
URIs: $mirror
Suites: $suite
Components: main
Signed-By: $keyring

EOT
    done
    cat >"$apt/apt.conf" <<EOT
Dir::Etc "$apt/etc";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/etc/sources.list.d";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "$apt/state";
Dir::State::status "$status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
APT::Architectures { "$(dpkg --print-architecture)"; "arm64"; };
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
$proxies
EOT
    export APT_CONFIG=$apt/apt.conf
    say "reading package lists of $* ..."
    apt-get update -q >"$apt/update.log" 2>&1 ||
        { cat "$apt/update.log" >&2; die "the package lists could not be read: is the network there?"; }
}
