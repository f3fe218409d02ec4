# Shared by the scripts that run a private PostgreSQL.  Source it from the
# repository root.
#
# As root the server has to run as another user, who may not be able to enter
# the clone (a home directory, say).  So everything that the server touches
# lives in one run directory: build/run where that user can reach it, else one
# made by mktemp and remembered in build/run-dir.

set -euo pipefail

root=$PWD

if [ "$(id -u)" = 0 ]; then
	server_user=postgres
	getent passwd $server_user >/dev/null || server_user=nobody
else
	server_user=$(id -un)
fi

# as_server COMMAND...: run as the server's user, from a directory it can read.
as_server()
{
	if [ "$(id -u)" = 0 ]; then
		(cd / && setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --init-groups \
			env HOME=/tmp "$@")
	else
		(cd / && "$@")
	fi
}

# Set run_dir, made when missing.
find_run_dir()
{
	mkdir -p "$root/build"
	run_dir=$root/build/run
	if [ -f "$root/build/run-dir" ]; then
		run_dir=$(cat "$root/build/run-dir")
	elif ! { mkdir -p "$run_dir" && as_server test -x "$run_dir" -a -r "$run_dir"; }; then
		rmdir "$run_dir"
		run_dir=$(mktemp -d "${TMPDIR:-/tmp}/mmodal.XXXXXX")
		chmod 755 "$run_dir"
		echo "$run_dir" >"$root/build/run-dir"
	fi
	[ -d "$run_dir" ] || { mkdir "$run_dir" && chmod 755 "$run_dir"; }
}

pg_config=$(scripts/find-pg-config)
if [ -z "$pg_config" ]; then
	echo "no PostgreSQL server with its headers found: run 'scripts/setup build' or set PG_CONFIG" >&2
	exit 1
fi

find_run_dir

# The server's tree relocates: a copy that keeps the relative places of its
# three directories finds its own libraries and share files.  MMODAL_SERVER= names
# another copy, for tests that change one.
pg_prefix=${MMODAL_SERVER:-$run_dir/pg}
failpoints_prefix=$pg_prefix-failpoints
common_prefix()
{
	printf '%s\n%s\n' "$1" "$2" | sed -e 'N;s|^\(.*/\).*\n\1.*$|\1|'
}
system_prefix=$(common_prefix "$($pg_config --bindir)/" "$($pg_config --sharedir)/")
staged()
{
	echo "$pg_prefix/${1#"$system_prefix"}"
}
staged_bin=$(staged "$($pg_config --bindir)")
staged_share=$(staged "$($pg_config --sharedir)")
staged_lib=$(staged "$($pg_config --pkglibdir)")
