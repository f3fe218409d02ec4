#!/usr/bin/perl
# demo/scale/fdw shows what it says and leaves no server behind.  That of Citus needs
# Citus, and says so.
use strict;
use warnings;
use Test::More;

$ENV{SCALE_QUERIES} = 5;
delete $ENV{CITUS_DIR};

my $log = qx(demo/scale/citus 2>&1);
is($? >> 8, 2, 'demo/scale/citus without Citus does nothing');
like($log, qr/CITUS_DIR=.*\.\/configure/s, 'and says what to do');

$log = qx(demo/scale/fdw 2>&1);
is($?, 0, 'demo/scale/fdw succeeds') or diag($log);
SKIP:
{
	skip 'this PostgreSQL comes without postgres_fdw', 8 if $log =~ /^skipped: /m;
	my $sorts = () = $log =~ /^ +Remote SQL: SELECT id, e FROM public\.item_scale\d ORDER BY \(e OPERATOR/mg;
	cmp_ok($sorts, '>=', 9, 'each server sorts');
	like($log, qr/Async Foreign Scan.*\n.*\n.*LIMIT 10::bigint/, 'or gives ten, beside the others');
	like($log, qr/^\s*Index Scan using item_scale1_e_idx/m, 'by its index');
	my $same = () = $log =~ /^ +10 \| +10 \| +10$/mg;
	is($same, 4, 'the rows of a single table, exactly, also after a restart');
	my ($single, $shards) = map { $log =~ /^ $_ +\| ([\d.]+) \|/m ? $1 : 0 } 'single', 'shards';
	cmp_ok($shards, '>=', $single - 0.1, "recall of texts: $single, $shards");
	like($log, qr/mmodal_index_check: \d+/, 'indexes are proved');
	like($log, qr/ERROR:  08001: could not connect to server "scale2"/, 'a dead server is named');
	my $run = qx(scripts/pg rundir);
	chomp $run;
	is(join(' ', grep { -e "$run/scale$_" } 0 .. 3), '', 'no server is left');
}
done_testing();
