#!/bin/sh
# The light install without what the client never loads, for the build of a container.
#
# usage: sh docs/examples/small_image.sh PYTHON, after PYTHON -m pip install --no-compile PATH_TO_CHECKOUT
#
# Of pyarrow go its servers, its own S3 (ours is boto3), tests and headers; of numpy its tests; of botocore
# the descriptions of services other than S3, KMS and the log-ins. `pip install --force-reinstall` brings all back.
set -eu
site=$("$1" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
test -d "$site/pyarrow" || { echo "$site has no pyarrow: install synthdata there first" >&2; exit 1; }

cd "$site/pyarrow"
rm -rf libarrow_flight.so* libarrow_python_flight.so* _flight*.so libarrow_s3.so* _s3fs*.so tests include src
for name in libarrow_python*.so.*.*.*; do # wheels hold no links: the same library lies there under three names
    short=${name%.*.*}
    rm -f "$name" "${short%.*}"
done

find "$site/numpy" -type d -name tests -prune -exec rm -rf {} +

cd "$site/botocore/data"
for service in */; do
    case $service in s3/ | kms/ | sts/ | sso/ | sso-oidc/ | signin/) ;; *) rm -rf "$service" ;; esac
done
